"""Labelled scans on disk for the training benchmark: .nii.gz files of whole heads' size at 1 mm."""

from __future__ import annotations

import time
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.segmenter.training_scans import TrainingScan, prepare_training_scan
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.training import TrainSettings

SHAPE = (182, 218, 182)
"""MNI space at 1 mm, as most public cohorts are handed out."""
_BRAIN_MM = np.array((68.0, 86.0, 66.0))
"""Semi-axes: 1.6 l."""
SEQUENCES = ("FLAIR", "T1w")
SKULL_STRIPPED = Prepared(skull_stripped=True, sequences_aligned=True)


def scan_of(folder: Path, number: int) -> Scan:
    """The files of scan ``number``."""
    own = folder / f"scan{number}"
    return Scan(
        f"sub-{number:02d}",
        "ses-01",
        {name: own / f"{name}.nii.gz" for name in SEQUENCES},
        reference_mask=own / "reference.nii.gz",
    )


def write_scans(folder: Path, count: int) -> None:
    """Smooth skull-stripped brains between 0 and 1 with lesions, int16 with a scale."""
    place = np.indices(SHAPE, dtype=np.float32) - (np.array(SHAPE) / 2)[:, None, None, None]
    brain = ((place / _BRAIN_MM[:, None, None, None]) ** 2).sum(axis=0) < 1
    for number in range(count):
        rng = np.random.default_rng(number)
        smooth = [gaussian_filter(rng.normal(size=SHAPE).astype(np.float32), 3.0) for _ in range(3)]
        smooth = [one / one.std() for one in smooth]
        reference = ((smooth[2] > 3.0) & brain).astype(np.uint8)
        scan = scan_of(folder, number)
        assert scan.reference_mask is not None
        scan.reference_mask.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(reference, np.eye(4)), scan.reference_mask)
        for name, tissue, lesion in zip(SEQUENCES, smooth, (0.12, -0.06), strict=False):
            level = np.clip(0.5 + 0.08 * tissue + lesion * reference, 0.05, 1.0) * brain
            image = nib.Nifti1Image(level.astype(np.float32), np.eye(4))
            image.set_data_dtype(np.int16)
            nib.save(image, scan.images[name])


def prepared(
    folder: Path, count: int, settings: TrainSettings
) -> tuple[list[TrainingScan], float | None]:
    """The scans as ``train.py`` prepares them, once, and core-seconds a scan if it was now."""
    begin = time.process_time()
    fresh = not (folder / "prepared").is_dir()
    found = [
        prepare_training_scan(
            scan_of(folder, number), SKULL_STRIPPED, settings.segmenter, folder / "prepared"
        )
        for number in range(count)
    ]
    return found, (time.process_time() - begin) / count if fresh else None
