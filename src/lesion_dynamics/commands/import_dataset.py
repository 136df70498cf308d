"""``lesion-dynamics import LAYOUT UPSTREAM FOLDER``: a public dataset becomes a manifest.

Options differ from layout to layout, so this command takes them as a shell command does and not
as overrides of a configuration: nothing here is a setting of a study.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lesion_dynamics.errors import EXIT_USER_ERROR, ConfigurationError, UserError
from lesion_dynamics.importers import isbi2015, mslesseg, msseg2, nnunet, open_ms
from lesion_dynamics.importers.imported_cohort import ImportedCohort
from lesion_dynamics.importers.manifest_folder import write_manifest_folder

_LOG = logging.getLogger(__name__)
_PROGRAM = "lesion-dynamics import"


class _Parser(argparse.ArgumentParser):
    """Refuses in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(
            message, where=self.prog, remedy=f"See {self.prog} --help for what it takes."
        )


def main(arguments: Sequence[str]) -> int:
    """Import with shell options; the exit status. ``file=...`` is a model version's archive."""
    if any(argument.startswith("file=") for argument in arguments):
        from lesion_dynamics.commands import import_version

        return import_version.main(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        given = _parser().parse_args(arguments)
        if not given.upstream.is_dir():
            raise ConfigurationError(
                "there is no such folder",
                where=given.upstream,
                remedy="Name the folder of the unpacked dataset.",
            )
        imported = _read(given)
        manifest = write_manifest_folder(imported, given.folder, upstream=given.upstream)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USER_ERROR
    _report(imported, manifest)
    return 0


def _read(given: argparse.Namespace) -> ImportedCohort:
    match given.layout:
        case "isbi2015":
            return isbi2015.read(given.upstream, images=given.images, rater=given.rater)
        case "nnunet":
            return nnunet.read(
                given.upstream,
                case_id=given.case_id,
                lesion_label=given.lesion_label,
                diagnosis=given.diagnosis,
                skull_stripped=given.skull_stripped,
                bias_corrected=given.bias_corrected,
            )
        case "mslesseg":
            return mslesseg.read(given.upstream)
        case "msseg2":
            return msseg2.read(given.upstream)
        case _:
            return open_ms.read(given.upstream)


def _parser() -> _Parser:
    parser = _Parser(prog=_PROGRAM, description=__doc__, allow_abbrev=False)
    layouts = parser.add_subparsers(dest="layout", required=True, metavar="LAYOUT")

    def layout(name: str, what: str) -> argparse.ArgumentParser:
        own = layouts.add_parser(name, help=what, description=what, allow_abbrev=False)
        own.add_argument("upstream", type=Path, help="folder of the dataset, unpacked")
        own.add_argument("folder", type=Path, help="folder that receives manifest.tsv")
        return own

    isbi = layout("isbi2015", "longitudinal MS lesion challenge of ISBI 2015")
    isbi.add_argument("--images", choices=("preprocessed", "orig"), default="preprocessed")
    isbi.add_argument(
        "--rater",
        choices=("1", "2", "union", "intersection"),
        default="1",
        help="whose mask is the reference",
    )
    layout("mslesseg", "MSLesSeg, 75 people with MS (Catania)")
    layout("msseg2", "MSSEG-2, new lesions between two sessions (OFSEP)")
    nnu = layout("nnunet", "raw dataset of nnU-Net v2 (DatasetXXX_Name)")
    nnu.add_argument(
        "--case-id",
        default=nnunet.WHOLE_CASE,
        metavar="REGEX",
        help="takes a case identifier apart: '(?P<participant>.+)_v(?P<session>[0-9]+)'",
    )
    nnu.add_argument("--lesion-label", metavar="NAME", help="the label that is lesion")
    nnu.add_argument("--diagnosis", choices=("MS", "NMOSD"), default="MS")
    nnu.add_argument("--skull-stripped", action="store_true", help="the images are brains alone")
    nnu.add_argument("--bias-corrected", action="store_true")
    layout("open_ms", "open MS data of Ljubljana, both parts")
    return parser


def _report(imported: ImportedCohort, manifest: Path) -> None:
    participants = {scan.participant_id for scan in imported.scans}
    undated = sum(scan.days is None for scan in imported.scans)
    _LOG.info(
        "%s: %d scans of %d participants, %d without a day, %d left out. Manifest: %s",
        imported.dataset.name,
        len(imported.scans),
        len(participants),
        undated,
        len(imported.left_out),
        manifest,
    )
    _LOG.info("Licence: %s. To cite: %s.", imported.dataset.licence, imported.dataset.citation)
    _LOG.info(
        "Use it: cohort=manifest cohort.root=%s cohort.session_alignment=%s (%s says what was"
        " decided)",
        manifest.parent,
        imported.dataset.session_alignment,
        manifest.with_name("README.md"),
    )
