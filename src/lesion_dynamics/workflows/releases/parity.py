"""Two versions on the same scans: one table, one line of verdict."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.atomic_files import require_writable_folder, write_json
from lesion_dynamics.errors import ModelVersionError, UserError, printable
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.lesions.parity import (
    ScanParity,
    beyond_limits,
    parity_summary,
    scan_parity,
)
from lesion_dynamics.longitudinal.tidy_tables import write_table
from lesion_dynamics.model_version import folder_name_of
from lesion_dynamics.report.text_table import text_table
from lesion_dynamics.settings.releases import ParitySettings
from lesion_dynamics.workflows.lineage.derived import write_derived_lineage

_LOG = logging.getLogger(__name__)
_SIDECARS = "sub-*/ses-*/anat/*_label-L_mask.json"
_SHOWN = 10


@dataclass(frozen=True)
class Parity:
    """What came of a comparison.

    left_out : scan and reason. beyond : participants with a scan beyond the limits.
    """

    names: tuple[str, str]
    scans: tuple[ScanParity, ...]
    left_out: Mapping[str, str]
    beyond: tuple[str, ...]
    summary: Mapping[str, float | int | None]

    @property
    def verdict(self) -> str:
        """One line."""
        people = len({scan.participant_id for scan in self.scans})
        if not self.beyond:
            return f"Parity: none of {people} participants is beyond the limits."
        who = ", ".join(self.beyond[:_SHOWN]) + (", ..." if len(self.beyond) > _SHOWN else "")
        return f"No parity: {len(self.beyond)} of {people} participants beyond the limits ({who})."


def run(settings: ParitySettings) -> Parity:
    """Compare, write ``parity.tsv`` and ``parity.json``, show the table.

    Raises
    ------
    UserError : a version has no derivatives, or there is no scan that both segmented.
    """
    require_writable_folder(settings.output)
    found = compare(settings)
    table = pd.DataFrame(
        [
            {
                **asdict(scan),
                "difference_mm3": scan.difference_mm3,
                "difference_percent": scan.difference_percent,
                "beyond_limits": scan.participant_id in found.beyond and _beyond(scan, settings),
            }
            for scan in found.scans
        ]
    )
    write_table(settings.output / "parity.tsv", table)
    write_json(
        settings.output / "parity.json",
        {
            "first": found.names[0],
            "second": found.names[1],
            "summary": dict(found.summary),
            "limits": settings.model_dump(
                mode="json", include={"dice_limit", "volume_limit_percent", "volume_limit_mm3"}
            ),
            "participants_beyond_limits": list(found.beyond),
            "scans_left_out": dict(found.left_out),
            "verdict": found.verdict,
        },
    )
    write_derived_lineage(
        settings.output,
        command="parity",
        source=("imaging", "lesions", "workflows/releases/parity"),
        outputs=[settings.output / name for name in ("parity.tsv", "parity.json")],
        settings=settings,
        made_from=[_folder(one, settings) for one in (settings.first, settings.second)],
    )
    for line in parity_text(found).splitlines():
        _LOG.info("%s", line)
    return found


def compare(settings: ParitySettings) -> Parity:
    """Compare all scans that both segmented from the same bytes; nothing is written."""
    folders = [_folder(reference, settings) for reference in (settings.first, settings.second)]
    sidecars = [_sidecars(folder) for folder in folders]
    scans, left_out = [], {}
    for name in sorted(sidecars[0].keys() | sidecars[1].keys()):
        try:
            scans.append(_compared(name, sidecars[0].get(name), sidecars[1].get(name)))
        except UserError as error:
            left_out[name] = printable(error.what)
    if not scans:
        first = next(iter(left_out.items()), ("no scan", "neither has a lesion mask"))
        raise ModelVersionError(
            f"there is no scan to compare; the first, {first[0]}: {first[1]}",
            where=f"first={settings.first} second={settings.second}",
            remedy="Run infer.py with both model versions over the same cohort.",
        )
    beyond = dict.fromkeys(scan.participant_id for scan in scans if _beyond(scan, settings))
    names = tuple(_label(folder, side) for folder, side in zip(folders, sidecars, strict=True))
    return Parity(
        (names[0], names[1]), tuple(scans), left_out, tuple(beyond), parity_summary(scans)
    )


def parity_text(found: Parity) -> str:
    """The table and the verdict."""
    summary = found.summary

    def said(key: str, form: str) -> str:
        return "n/a" if summary[key] is None else form.format(summary[key])

    rows = [
        ("scans compared", str(summary["scans"])),
        ("Dice, median (mean)", f"{said('dice_median', '{:.4f}')} ({said('dice_mean', '{:.4f}')})"),
        ("Dice, lowest", said("dice_lowest", "{:.4f}")),
        ("both masks empty", str(summary["dice_undefined"])),
        ("volume difference, all scans", said("total_difference_percent", "{:+.2f}%")),
        ("volume difference, median (mm3)", said("difference_median_mm3", "{:+.1f}")),
        ("volume difference, largest (mm3)", said("difference_largest_mm3", "{:+.1f}")),
        ("scans left out", str(len(found.left_out))),
    ]
    lines = [text_table((f"{found.names[1]} against {found.names[0]}", ""), rows)]
    lines += [
        f"Left out: {scan}: {reason}." for scan, reason in list(found.left_out.items())[:_SHOWN]
    ]
    return "\n".join([*lines, found.verdict])


def _beyond(scan: ScanParity, settings: ParitySettings) -> bool:
    return beyond_limits(
        scan,
        dice_limit=settings.dice_limit,
        volume_limit_percent=settings.volume_limit_percent,
        volume_limit_mm3=settings.volume_limit_mm3,
    )


def _folder(reference: str, settings: ParitySettings) -> Path:
    if Path(reference).is_dir():
        return Path(reference)
    label = reference
    if "@" in reference:
        from lesion_dynamics.records.registry import resolve

        label = resolve(reference, settings.tracking).label
    folder = settings.derivatives / folder_name_of(label)
    if not folder.is_dir():
        raise ModelVersionError(
            f"{label} has no lesion masks in {settings.derivatives}",
            where=folder,
            remedy=f"Run infer.py model_version={label} first, or set derivatives.",
        )
    return folder


def _sidecars(folder: Path) -> dict[str, Path]:
    return {
        f"{path.parents[2].name} {path.parents[1].name}": path
        for path in sorted(folder.glob(_SIDECARS))
    }


def _compared(name: str, first: Path | None, second: Path | None) -> ScanParity:
    if first is None or second is None:
        missing = "first" if first is None else "second"
        raise _left_out(f"the {missing} version has no mask", name)
    said = [_read(path) for path in (first, second)]
    inputs = [s["InputHashes"].get("files", s["InputHashes"]) for s in said]
    if inputs[0].get("FLAIR") != inputs[1].get("FLAIR"):
        raise _left_out("the versions saw different FLAIR files", name)
    masks = [read_mask(path.with_suffix("").with_suffix(".nii.gz")) for path in (first, second)]
    if not masks[0].on_same_grid_as(masks[1]):
        raise _left_out("the masks lie on different grids", name)
    participant_id, session_id = name.split(" ")
    return scan_parity(
        masks[0].voxels,
        masks[1].voxels,
        voxel_volume_mm3=masks[0].voxel_volume_mm3,
        participant_id=participant_id,
        session_id=session_id,
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        _ = said["InputHashes"].items(), str(said["ModelVersion"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _left_out(f"its sidecar cannot be read ({type(error).__name__})", path.name) from None
    return dict(said)


def _left_out(what: str, where: str) -> ModelVersionError:
    return ModelVersionError(what, where=where, remedy="Run infer.py again with this version.")


def _label(folder: Path, sidecars: Mapping[str, Path]) -> str:
    for path in sidecars.values():
        try:
            return str(_read(path)["ModelVersion"])
        except UserError:
            continue
    return folder.name
