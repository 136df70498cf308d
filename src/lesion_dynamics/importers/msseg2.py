"""MSSEG-2, the challenge on new MS lesions of MICCAI 2021 (OFSEP cohort, France).

Documented: ``DATASET.md`` of github.com/Inria-Empenn/lesion-segmentation-challenge-miccai21. One
folder a patient with two 3D FLAIRs, both resampled once into the middle space between the two
time points, and masks of the **new** lesions of four experts and their consensus::

    training/013/flair_time01_on_middle_space.nii.gz
    training/013/flair_time02_on_middle_space.nii.gz
    training/013/ground_truth.nii.gz               (and ground_truth_expert1..4.nii.gz)
    testing/...                                    (the same)

A mask of new lesions is no reference mask: it holds none of the lesions that were there before.
It goes into ``lesion_changes.tsv``. Our reading: the scans are whole heads, not bias-corrected
(upstream offers both as a preprocessing of its own). The dates are not published.
"""

from __future__ import annotations

import re
from pathlib import Path

from lesion_dynamics.importers.imported_cohort import (
    UNDATED_RULE,
    ChangeMask,
    Dataset,
    ImportedCohort,
    ImportedScan,
    LeftOut,
)
from lesion_dynamics.importers.upstream_files import (
    folders_named,
    image_file,
    not_this_dataset,
    participant_id_of,
)
from lesion_dynamics.settings.cohort import Prepared

_PATIENT = re.compile(r"[0-9]+", re.ASCII)
_TIMES = (("ses-01", "flair_time01_on_middle_space"), ("ses-02", "flair_time02_on_middle_space"))
_PARTS = ("training", "testing")

DATASET = Dataset(
    name="MSSEG-2 (MICCAI 2021 new MS lesions segmentation challenge)",
    licence="Data use agreement of the challenge (OFSEP); request access",
    citation="Commowick et al. MSSEG-2 challenge proceedings: Multiple sclerosis new lesions"
    " segmentation challenge using a data management and processing infrastructure. MICCAI 2021."
    " hal-03358968",
    homepage="https://portal.fli-iam.irisa.fr/msseg-2/",
    layout_sources=(
        "https://github.com/Inria-Empenn/lesion-segmentation-challenge-miccai21/blob/master/DATASET.md",
    ),
    rules=(
        "Everyone counts as MS. Age, sex and scanner are n/a: not in the dataset.",
        UNDATED_RULE,
        "ground_truth marks new lesions only: it stands in lesion_changes.tsv, and is no reference"
        " mask.",
        "Our reading: whole heads, not bias-corrected. Both sessions lie in the middle space, each"
        " resampled once by upstream.",
    ),
    session_alignment="none",
)


def read(root: Path) -> ImportedCohort:
    """Read ``training`` and ``testing`` below ``root``, or ``root`` itself as one of them.

    Raises
    ------
    CohortError : nothing of this layout below ``root``.
    """
    scans: list[ImportedScan] = []
    changes: list[ChangeMask] = []
    left_out: list[LeftOut] = []
    for part in (root, *(root / name for name in _PARTS)):
        for folder, _ in folders_named(part, _PATIENT):
            own, missing = _scans(folder)
            scans += own
            left_out += missing
            mask = image_file(folder, "ground_truth")
            if mask is not None and len(own) == len(_TIMES):
                changes.append(ChangeMask(own[0].participant_id, "ses-01", "ses-02", mask))
    if not scans:
        raise not_this_dataset("MSSEG-2", root, f"training/013/{_TIMES[0][1]}.nii.gz")
    return ImportedCohort(DATASET, tuple(scans), tuple(changes), tuple(left_out))


def _scans(folder: Path) -> tuple[list[ImportedScan], list[LeftOut]]:
    participant_id = participant_id_of(folder.name)
    scans: list[ImportedScan] = []
    left_out: list[LeftOut] = []
    for session_id, stem in _TIMES:
        flair = image_file(folder, stem)
        if flair is None:
            left_out.append(LeftOut(participant_id, session_id, f"no {stem} in {folder.name}"))
            continue
        days = 0.0 if session_id == _TIMES[0][0] else None
        images = {"FLAIR": flair}
        scans.append(ImportedScan(participant_id, session_id, images, days, Prepared()))
    return scans, left_out
