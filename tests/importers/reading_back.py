"""An imported cohort, written as a manifest and read as a user's would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lesion_dynamics.cohort.cohort import Cohort
from lesion_dynamics.cohort.pixel_check import unusable_scans
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.importers.imported_cohort import ImportedCohort
from lesion_dynamics.importers.manifest_folder import write_manifest_folder
from lesion_dynamics.settings.cohort import CohortSettings, Prepared

DONE = Prepared(skull_stripped=True, sequences_aligned=True, bias_corrected=True)


def read_back(imported: ImportedCohort, folder: Path, upstream: Path) -> Cohort:
    write_manifest_folder(imported, folder, upstream=upstream)
    settings = CohortSettings(name="imported", layout="manifest", root=folder)
    cohort = read_cohort(settings, optional_sequences=("T1w", "T2w", "PDw"))
    assert cohort.exclusions == ()
    assert unusable_scans(cohort.scans, processes=1) == []
    return cohort


def days_of(cohort: Cohort) -> list[float | None]:
    return [None if np.isnan(d) else d for d in cohort.tables.sessions["days_from_baseline"]]
