"""Tiny trees in the layouts of public datasets, made from the phantom's scans.

A tree takes its scans from the small training cohort: FLAIR, T1w and reference mask on one grid.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np


@dataclass(frozen=True)
class PhantomScan:
    """A labelled scan of the phantom, to be put where a layout wants it."""

    flair: Path
    t1w: Path
    mask: Path

    @classmethod
    def all_of(cls, phantom: Path) -> list[PhantomScan]:
        """Scans with lesions, in order."""
        root = phantom / "training"
        found = []
        for mask in sorted((root / "derivatives/reference").glob("sub-*/ses-*/anat/*_mask.nii.gz")):
            folder = root / mask.parent.relative_to(root / "derivatives/reference")
            stem = mask.name.split("_label")[0]
            scan = cls(folder / f"{stem}_FLAIR.nii.gz", folder / f"{stem}_T1w.nii.gz", mask)
            if np.asanyarray(nib.load(mask).dataobj).any():
                found.append(scan)
        return found


def put(source: Path, target: Path) -> None:
    """Copy, uncompressed where the target's name says so."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".gz":
        shutil.copyfile(source, target)
    else:
        nib.save(nib.load(source), target)


def put_voxels(voxels: np.ndarray, like: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, nib.load(like).affine), target)


def voxels_of(path: Path) -> np.ndarray:
    return np.asanyarray(nib.load(path).dataobj)


def isbi2015(root: Path, scan: PhantomScan) -> Path:
    """training01 with two time points, raters who differ in one slab; test01 without masks."""
    folder = root / "training" / "training01"
    for number in ("01", "02"):
        stem = f"training01_{number}"
        for name, source in (("flair", scan.flair), ("mprage", scan.t1w), ("pd", scan.t1w)):
            put(source, folder / "preprocessed" / f"{stem}_{name}_pp.nii")
            put(source, folder / "orig" / f"{stem}_{name}.nii.gz")
        mask = (voxels_of(scan.mask) > 0).astype(np.uint8)
        put_voxels(mask, scan.mask, folder / "masks" / f"{stem}_mask1.nii")
        other = mask.copy()
        other[: mask.shape[0] // 2] = 0
        other[-1, -1, -1] = 1
        put_voxels(other, scan.mask, folder / "masks" / f"{stem}_mask2.nii")
    test = root / "testdata_website" / "test01" / "preprocessed"
    put(scan.flair, test / "test01_01_flair_pp.nii")
    return root


def msseg2(root: Path, scan: PhantomScan) -> Path:
    """Patient 013 with two FLAIRs and the new lesions; 016 lacks its second."""
    for patient, times in (("013", ("time01", "time02")), ("016", ("time01",))):
        folder = root / "training" / patient
        for time in times:
            put(scan.flair, folder / f"flair_{time}_on_middle_space.nii.gz")
        for name in ("ground_truth", "ground_truth_expert1"):
            put(scan.mask, folder / f"{name}.nii.gz")
    return root


def mslesseg(root: Path, scan: PhantomScan) -> Path:
    """P2 with two and P10 with one time point, P54 of the test part without any in its names."""
    places = (("train/P2/T1", "P2_T1"), ("train/P2/T2", "P2_T2"), ("train/P10/T1", "P10_T1"),
              ("test/P54", "P54"))  # fmt: skip
    for folder, stem in places:
        for name, source in (
            ("FLAIR", scan.flair), ("T1", scan.t1w), ("T2", scan.t1w), ("MASK", scan.mask),
        ):  # fmt: skip
            put(source, root / "MSLesSeg Dataset" / folder / f"{stem}_{name}.nii.gz")
    return root


def nnunet(root: Path, scan: PhantomScan, *, labels: dict[str, object] | None = None) -> Path:
    """MS01 with two visits and MS02 with one, T1 and FLAIR; a test case without label."""
    folder = root / "Dataset001_Lesions"
    for case in ("MS01_v1", "MS01_v2", "MS02_v1"):
        put(scan.t1w, folder / "imagesTr" / f"{case}_0000.nii.gz")
        put(scan.flair, folder / "imagesTr" / f"{case}_0001.nii.gz")
        put(scan.mask, folder / "labelsTr" / f"{case}.nii.gz")
    put(scan.t1w, folder / "imagesTs" / "MS03_v1_0000.nii.gz")
    put(scan.flair, folder / "imagesTs" / "MS03_v1_0001.nii.gz")
    described = {
        "channel_names": {"0": "T1", "1": "T2-FLAIR"},
        "labels": labels or {"background": 0, "lesion": 1},
        "numTraining": 3,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(described))
    return folder


def open_ms(root: Path, scan: PhantomScan) -> Path:
    """Patient 26 of the cross-sectional part and patient 07 of the longitudinal one."""
    tail = "N4_noneck_reduced_winsor_regtoFLAIR"
    cross = root / "cross_sectional"
    folder = cross / "MNI" / "patient26"
    put(scan.flair, folder / f"FLAIR_{tail}_brain_N4_regtoMNI.nii.gz")
    put(scan.mask, folder / f"GOLD_STANDARD_{tail}_regtoMNI.nii.gz")
    (cross / "patient_info.csv").write_text("patient_id,age,sex,ms_type\n26,40,F,RR\n")
    raw = root / "longitudinal" / "raw" / "patient07"
    for study in (1, 2):
        put(scan.flair, raw / f"study{study}_FLAIR.nii.gz")
    put(scan.mask, raw / "gt.nii.gz")
    (root / "longitudinal" / "patient_info.csv").write_text(
        "patient_id,sex,days_between_studies,age,ms_type\n7,M,317,,SP\n"
    )
    return root
