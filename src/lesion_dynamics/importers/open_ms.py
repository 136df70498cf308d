"""The open MS data of the University of Ljubljana, both parts.

The layout, its sources and its rules stand in `cohort.open_ms_layout`, which also reads the data
without an import (``cohort=open_ms``). An import is for those who want the manifest: to edit it,
to take a part, to put other participants beside it. Documented: the README files of
github.com/muschellij2/open_ms_data.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd

from lesion_dynamics.cohort import open_ms_layout
from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.importers.imported_cohort import (
    ChangeMask,
    Dataset,
    ImportedCohort,
    ImportedScan,
    LeftOut,
)
from lesion_dynamics.importers.upstream_files import folders_named, image_file
from lesion_dynamics.settings.cohort import CohortSettings, Prepared

_PATIENT = re.compile(r"patient([0-9]+)", re.ASCII)

DATASET = Dataset(
    name="Open MS data (Laboratory of Imaging Technologies, Ljubljana)",
    licence="CC BY",
    citation="Lesjak et al. A novel public MR image dataset of multiple sclerosis patients with"
    " lesion segmentations based on multi-rater consensus. Neuroinformatics (2017). doi"
    " 10.1007/s12021-017-9348-7 (cross-sectional). Lesjak et al. Validation of white-matter lesion"
    " change detection methods on a novel publicly available MRI image database. Neuroinformatics"
    " (2016) (longitudinal)",
    homepage="https://github.com/muschellij2/open_ms_data",
    layout_sources=("https://github.com/muschellij2/open_ms_data#readme",),
    rules=(
        "Everyone counts as MS, the clinically isolated syndromes too.",
        "Days: 0, and days_between_studies of patient_info.csv for the second session.",
        "Cross-sectional: the MNI-space scans, with the consensus mask as reference mask.",
        "Longitudinal: the raw scans. gt.nii.gz marks changes, on the common grid: it is in"
        " lesion_changes.tsv and is no reference mask.",
    ),
    session_alignment="rigid",
)


def read(root: Path) -> ImportedCohort:
    """Read whatever of the two parts lies below ``root``.

    Raises
    ------
    CohortError : neither part, or a table of upstream that is missing or wrong.
    """
    settings = CohortSettings(name="open_ms", layout="open_ms", root=root)
    tables = open_ms_layout.read_tables(settings)
    scans, exclusions = open_ms_layout.find_scans(
        settings, tables, required_sequences=("FLAIR",), optional_sequences=("T1w", "T2w")
    )
    days = tables.sessions.set_index(["participant_id", "session_id"])["days_from_baseline"]
    people = tables.participants.set_index("participant_id")
    imported = [_imported(scan, float(days.loc[scan.key]), people) for scan in scans]
    return ImportedCohort(
        DATASET,
        tuple(imported),
        changes=tuple(_changes(root, {scan.participant_id for scan in imported})),
        left_out=tuple(
            LeftOut(e.participant_id, e.session_id or "n/a", e.reason) for e in exclusions
        ),
    )


def _imported(scan: Scan, days: float, people: pd.DataFrame) -> ImportedScan:
    age = float(people["age_years"].loc[scan.participant_id])
    sex = people["sex"].loc[scan.participant_id]
    return ImportedScan(
        participant_id=scan.participant_id,
        session_id=scan.session_id,
        images=scan.images,
        days=days,
        prepared=scan.prepared or Prepared(),
        reference_mask=scan.reference_mask,
        age_years=None if math.isnan(age) else age,
        sex=sex if isinstance(sex, str) else None,
    )


def _changes(root: Path, participants: set[str]) -> list[ChangeMask]:
    """Change masks of the common space, whose grid is that of its brain mask; else of ``raw``."""
    found: list[ChangeMask] = []
    for folder, match in folders_named(root / "longitudinal" / "raw", _PATIENT):
        participant_id = f"sub-long{int(match[1]):02d}"
        common = root / "longitudinal" / "coregistered" / folder.name
        mask = image_file(common, "gt") or image_file(folder, "gt")
        if mask is not None and participant_id in participants:
            found.append(ChangeMask(participant_id, "ses-01", "ses-02", mask))
    return found
