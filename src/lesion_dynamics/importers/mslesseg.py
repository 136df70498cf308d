"""MSLesSeg (Guarnera et al. 2025): 75 people with MS, 115 sessions, one consensus mask each.

Documented: Guarnera et al., Scientific Data 2025;12:920, doi 10.1038/s41597-025-05250-y, figshare
27919209 (CC BY 4.0); the ICPR 2024 competition report, arXiv 2410.07924. T1, T2 and FLAIR are
aligned to MNI152 at 1 mm. Public loaders of ``MSLesSeg Dataset.zip`` agree on the names::

    train/P1/T1/P1_T1_{FLAIR,T1,T2,MASK}.nii.gz      (T1, T2, ... are time points)
    test/P54/P54_{FLAIR,T1,T2,MASK}.nii.gz           (one session, no time point in the name)
    info_dataset/                                    (about the data; not read)

Our readings: the scans are brain-extracted (FSL BET in the paper's pipeline) and not declared
bias-corrected. ``info_dataset`` is not read, as its format is not documented in the sources above:
ages and sexes are n/a and can be filled into the manifest by hand. The dates are not published.
"""

from __future__ import annotations

import re
from pathlib import Path

from lesion_dynamics.importers.imported_cohort import (
    UNDATED_RULE,
    Dataset,
    ImportedCohort,
    ImportedScan,
    LeftOut,
)
from lesion_dynamics.importers.upstream_files import (
    folders_named,
    image_file,
    images_of,
    not_this_dataset,
    participant_id_of,
    session_id_of,
)
from lesion_dynamics.settings.cohort import Prepared

_PATIENT = re.compile(r"P[0-9]+", re.ASCII)
_TIME_POINT = re.compile(r"T([0-9]+)", re.ASCII)
_SEQUENCES = {"FLAIR": "FLAIR", "T1w": "T1", "T2w": "T2"}
_PREPARED = Prepared(skull_stripped=True, sequences_aligned=True)

DATASET = Dataset(
    name="MSLesSeg",
    licence="CC BY 4.0",
    citation="Guarnera et al. MSLesSeg: baseline and benchmarking of a new Multiple Sclerosis"
    " Lesion Segmentation dataset. Scientific Data 2025;12:920. doi 10.1038/s41597-025-05250-y",
    homepage="https://springernature.figshare.com/articles/dataset/27919209",
    layout_sources=(
        "https://doi.org/10.1038/s41597-025-05250-y",
        "https://arxiv.org/abs/2410.07924",
    ),
    rules=(
        "Everyone counts as MS. Age, sex and scanner are n/a: info_dataset is not read.",
        UNDATED_RULE,
        "Reference mask: upstream's MASK, as it is.",
        "Our reading: brain-extracted and aligned to MNI152, not bias-corrected. Look at one scan"
        " before a long run; the columns of the manifest can be changed.",
    ),
    session_alignment="none",
)


def read(root: Path) -> ImportedCohort:
    """Read ``train`` and ``test`` below ``root`` or below its ``MSLesSeg Dataset`` folder.

    Raises
    ------
    CohortError : nothing of this layout below ``root``.
    """
    if (root / "MSLesSeg Dataset").is_dir():
        root = root / "MSLesSeg Dataset"
    scans: list[ImportedScan] = []
    left_out: list[LeftOut] = []
    for part in ("train", "test"):
        for patient, _ in folders_named(root / part, _PATIENT):
            sessions = [
                (folder, f"{patient.name}_{folder.name}", session_id_of(match[1]))
                for folder, match in folders_named(patient, _TIME_POINT)
            ] or [(patient, patient.name, "ses-01")]
            for at, (folder, stem, session_id) in enumerate(sessions):
                scan = _scan(patient, folder, stem, session_id, first=at == 0)
                if isinstance(scan, LeftOut):
                    left_out.append(scan)
                else:
                    scans.append(scan)
    if not scans:
        raise not_this_dataset("MSLesSeg", root, "train/P1/T1/P1_T1_FLAIR.nii.gz")
    return ImportedCohort(DATASET, tuple(scans), left_out=tuple(left_out))


def _scan(
    patient: Path, folder: Path, stem: str, session_id: str, *, first: bool
) -> ImportedScan | LeftOut:
    participant_id = participant_id_of(patient.name)
    images = images_of(folder, {name: f"{stem}_{end}" for name, end in _SEQUENCES.items()})
    if "FLAIR" not in images:
        return LeftOut(participant_id, session_id, f"no {stem}_FLAIR in {folder.name}")
    return ImportedScan(
        participant_id=participant_id,
        session_id=session_id,
        images=images,
        days=0.0 if first else None,
        prepared=_PREPARED,
        reference_mask=image_file(folder, f"{stem}_MASK"),
    )
