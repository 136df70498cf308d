"""Reading a cohort, whatever its layout: tables, scans, exclusions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from lesion_dynamics.cohort import bids_layout, manifest_layout, open_ms_layout
from lesion_dynamics.cohort.cohort import Cohort, CohortTables, Exclusion, Scan
from lesion_dynamics.cohort.gradient_coefficients import (
    require_coefficient_files,
    with_gradient_coefficients,
)
from lesion_dynamics.cohort.parts import tables_of_part
from lesion_dynamics.cohort.scan_check import (
    exclusion_of,
    remarks_of,
    require_usable_mask_header,
    usable_headers,
)
from lesion_dynamics.errors import CohortError, ScanError
from lesion_dynamics.imaging.reading import Header
from lesion_dynamics.settings.cohort import CohortSettings


class _Layout(Protocol):
    """What a module that reads one layout offers."""

    def read_tables(self, settings: CohortSettings) -> CohortTables: ...

    def find_scans(
        self,
        settings: CohortSettings,
        cohort_tables: CohortTables,
        *,
        required_sequences: tuple[str, ...],
        optional_sequences: tuple[str, ...],
    ) -> tuple[list[Scan], list[Exclusion]]: ...


_LAYOUTS: Mapping[str, _Layout] = {
    "bids": bids_layout,
    "manifest": manifest_layout,
    "open_ms": open_ms_layout,
}


def read_tables(settings: CohortSettings) -> CohortTables:
    """Participants, sessions and attacks; no image is looked at.

    Raises
    ------
    CohortError : no such folder, or a table that is missing or wrong.
    """
    _require_folder(settings)
    return _LAYOUTS[settings.layout].read_tables(settings)


def read_cohort(
    settings: CohortSettings,
    *,
    required_sequences: tuple[str, ...] = ("FLAIR",),
    optional_sequences: tuple[str, ...] = ("T1w",),
    masks_needed: bool = True,
    part: tuple[int, int] | None = None,
) -> Cohort:
    """Tables, and every scan whose files are there and fit together by their headers.

    No voxel is read (:mod:`lesion_dynamics.cohort.pixel_check` does that). A scan without a
    required sequence, with an unreadable header, or with a file that is not on the FLAIR grid
    where it must be, becomes an exclusion; the others go on. An optional sequence may be
    missing, but where it is there it must be usable: nothing is dropped in silence.

    Parameters
    ----------
    masks_needed : whether a scan with a reference mask that cannot be used is left out. If not,
        it stays without its mask, which stands in ``unused_masks`` with the reason.
    part : which part of the participants, and of how many (`cohort.parts`); no header of the
        others is read. None: all.

    Returns
    -------
    Scans and exclusions ordered by participant and session id.

    Raises
    ------
    CohortError : as :func:`read_tables`; images without diagnosis or days; no usable scan;
        fewer participants than parts.
    """
    cohort_tables = read_tables(settings)
    own_tables = tables_of_part(cohort_tables, part, where=settings.root)
    scans, exclusions, unused_masks = usable_scans(
        settings,
        cohort_tables,
        required_sequences=required_sequences,
        optional_sequences=optional_sequences,
        masks_needed=masks_needed,
        only=None if part is None else frozenset(own_tables.participants["participant_id"]),
    )
    cohort = assembled(settings, own_tables, scans, exclusions)
    return replace(cohort, unused_masks=tuple(unused_masks))


def usable_scans(
    settings: CohortSettings,
    cohort_tables: CohortTables,
    *,
    required_sequences: tuple[str, ...],
    optional_sequences: tuple[str, ...],
    masks_needed: bool,
    only: Collection[str] | None = None,
) -> tuple[list[Scan], list[Exclusion], list[Exclusion]]:
    """Scans, exclusions and unused masks, as :func:`read_cohort`; there may be none at all.

    only : participants of whom they are wanted; None: all.
    """
    found, exclusions = find_scans(
        settings,
        cohort_tables,
        required_sequences=required_sequences,
        optional_sequences=optional_sequences,
    )
    if only is not None:
        found = [scan for scan in found if scan.participant_id in only]
        exclusions = [one for one in exclusions if one.participant_id in only]
    scans: list[Scan] = []
    unused_masks: list[Exclusion] = []
    for scan in found:
        try:
            headers = _image_headers(scan, settings)
        except ScanError as error:
            exclusions.append(failed(scan, error, settings))
            continue
        kept = with_gradient_coefficients(scan, cohort_tables, settings.distortion)
        kept = replace(kept, remarks=remarks_of(headers))
        try:
            require_usable_mask_header(scan, headers["FLAIR"])
            scans.append(kept)
        except ScanError as error:
            if masks_needed:
                exclusions.append(failed(scan, error, settings))
            else:
                unused_masks.append(failed(scan, error, settings))
                scans.append(replace(kept, reference_mask=None))
    return scans, exclusions, unused_masks


def find_scans(
    settings: CohortSettings,
    cohort_tables: CohortTables,
    *,
    required_sequences: tuple[str, ...],
    optional_sequences: tuple[str, ...],
) -> tuple[list[Scan], list[Exclusion]]:
    """Find the files of every session; no file is opened but to choose between candidates."""
    # FLAIR defines the grid of a scan, so no scan goes without.
    required = tuple(dict.fromkeys(("FLAIR", *required_sequences)))
    optional = tuple(s for s in optional_sequences if s not in required)
    require_coefficient_files(settings.distortion)
    return _LAYOUTS[settings.layout].find_scans(
        settings, cohort_tables, required_sequences=required, optional_sequences=optional
    )


def headers_of(scan: Scan, settings: CohortSettings) -> dict[str, Header]:
    """Headers of a scan's images, by sequence; its reference mask is looked at as well.

    Raises
    ------
    ScanError : they cannot be used, or not together.
    """
    headers = _image_headers(scan, settings)
    require_usable_mask_header(scan, headers["FLAIR"])
    return headers


def _image_headers(scan: Scan, settings: CohortSettings) -> dict[str, Header]:
    prepared = settings.prepared if scan.prepared is None else scan.prepared
    return usable_headers(scan, sequences_aligned=prepared.sequences_aligned)


def failed(scan: Scan, error: ScanError, settings: CohortSettings) -> Exclusion:
    """Exclusion of a scan whose files are there and cannot be used."""
    return exclusion_of(scan, error, settings.root)


def assembled(
    settings: CohortSettings,
    cohort_tables: CohortTables,
    scans: Sequence[Scan],
    exclusions: Sequence[Exclusion],
) -> Cohort:
    """The cohort of these scans, everything in its order.

    Raises
    ------
    CohortError : there is no scan.
    """
    ordered = sorted(exclusions, key=lambda one: (one.participant_id, one.session_id or ""))
    if not scans:
        raise _no_scan(settings, ordered)
    return Cohort(
        name=settings.name,
        root=settings.root,
        scans=tuple(sorted(scans, key=lambda scan: scan.key)),
        tables=cohort_tables,
        exclusions=tuple(ordered),
    )


def _no_scan(settings: CohortSettings, exclusions: list[Exclusion]) -> CohortError:
    if not exclusions:
        return CohortError(
            "the cohort is empty: no session of any participant",
            where=settings.root,
            remedy="Put scans there (make study generates the phantom's), or set cohort.root.",
        )
    first = exclusions[0]
    return CohortError(
        f"no usable scan: {len(exclusions)} left out, the first ({first.who}): {first.explained}",
        where=settings.root,
        remedy="Mend these files, or set cohort.root to another folder.",
    )


def _require_folder(settings: CohortSettings) -> None:
    if not settings.root.is_dir():
        raise CohortError(
            f"there is no cohort folder for cohort {settings.name}",
            where=settings.root,
            remedy="Set cohort.root to the folder that holds it (dvc pull or make study makes it).",
        )
    masks = settings.reference_masks
    if masks is not None and not masks.is_dir():
        raise CohortError(
            "there is no folder of reference masks",
            where=masks,
            remedy="Set cohort.reference_masks to it, or to null to go without.",
        )
