"""Reading a cohort, whatever its layout: tables, scans, exclusions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lesion_dynamics.cohort import bids_layout, open_ms_layout
from lesion_dynamics.cohort.cohort import Cohort, CohortTables, Exclusion, Scan
from lesion_dynamics.cohort.gradient_coefficients import (
    require_coefficient_files,
    with_gradient_coefficients,
)
from lesion_dynamics.cohort.scan_check import reason_of, require_usable_headers
from lesion_dynamics.errors import CohortError, ScanError
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


_LAYOUTS: Mapping[str, _Layout] = {"bids": bids_layout, "open_ms": open_ms_layout}


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
) -> Cohort:
    """Tables, and every scan whose files are there and fit together by their headers.

    No voxel is read (:mod:`lesion_dynamics.cohort.pixel_check` does that). A scan without a
    required sequence, with an unreadable header, or with a file that is not on the FLAIR grid
    where it must be, becomes an exclusion; the others go on. An optional sequence may be
    missing, but where it is there it must be usable: nothing is dropped in silence.

    Returns
    -------
    Scans and exclusions ordered by participant and session id.

    Raises
    ------
    CohortError : as :func:`read_tables`; images without diagnosis or days; no usable scan.
    """
    # FLAIR defines the grid of a scan, so no scan goes without.
    required = tuple(dict.fromkeys(("FLAIR", *required_sequences)))
    optional = tuple(s for s in optional_sequences if s not in required)
    cohort_tables = read_tables(settings)
    require_coefficient_files(settings.distortion)
    found, exclusions = _LAYOUTS[settings.layout].find_scans(
        settings, cohort_tables, required_sequences=required, optional_sequences=optional
    )
    scans: list[Scan] = []
    for scan in found:
        prepared = settings.prepared if scan.prepared is None else scan.prepared
        try:
            require_usable_headers(scan, sequences_aligned=prepared.sequences_aligned)
            scans.append(with_gradient_coefficients(scan, cohort_tables, settings.distortion))
        except ScanError as error:
            reason = reason_of(error, settings.root)
            exclusions.append(Exclusion(scan.participant_id, scan.session_id, reason, failed=True))
    exclusions.sort(key=lambda left_out: (left_out.participant_id, left_out.session_id or ""))
    if not scans:
        raise _no_scan(settings, exclusions)
    return Cohort(
        name=settings.name,
        root=settings.root,
        scans=tuple(sorted(scans, key=lambda scan: scan.key)),
        tables=cohort_tables,
        exclusions=tuple(exclusions),
    )


def _no_scan(settings: CohortSettings, exclusions: list[Exclusion]) -> CohortError:
    if not exclusions:
        return CohortError(
            "the cohort is empty: no session of any participant",
            where=settings.root,
            remedy="Put scans there (make study generates the phantom's), or set cohort.root.",
        )
    first = exclusions[0]
    whose = " ".join(name for name in (first.participant_id, first.session_id) if name)
    return CohortError(
        f"no usable scan: {len(exclusions)} left out, the first ({whose}): {first.reason}",
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
