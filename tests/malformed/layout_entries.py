"""Layouts: files that do not fit together, stand elsewhere, or are not what the folder says."""

# ruff: noqa: E501 (a table: one entry, one line)
from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from tests.malformed.entry import Damage, Entry, flair, t1w
from tests.malformed.good_cohort import AFFINE, DAMAGED, SHAPE, image, voxels_of, write_cohort

MASKS = {"reference_masks": "{root}/derivatives/reference"}
OTHER_SHAPE = (20, 20, 20)


def shifted(millimetres: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[0, 3] += millimetres
    return affine


def other_t1w(voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Damage:
    return lambda root: image(voxels, affine).to_filename(t1w(root))


def mask_path(root: Path) -> Path:
    who, session = DAMAGED
    anat = root / "derivatives/reference" / who / session / "anat"
    return anat / f"{who}_{session}_label-L_mask.nii.gz"


def mask(voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Damage:
    def damage(root: Path) -> None:
        mask_path(root).parent.mkdir(parents=True)
        image(voxels, affine).to_filename(mask_path(root))

    return damage


def mask_link(root: Path) -> None:
    mask_path(root).parent.mkdir(parents=True)
    mask_path(root).symlink_to("gone.nii.gz")


def move(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


def unpacked_beside(root: Path) -> None:
    image(voxels_of(1, "FLAIR")).to_filename(str(flair(root)).removesuffix(".gz"))


def empty(root: Path) -> None:
    for folder in root.glob("sub-*"):
        shutil.rmtree(folder)


def nested(root: Path) -> None:
    shutil.rmtree(root)
    write_cohort(root / "bids")


def folder_replaced(name: str, target: str) -> Damage:
    def damage(root: Path) -> None:
        shutil.rmtree(root / name)
        (root / name).symlink_to(target)

    return damage


def file_for_folder(root: Path) -> None:
    shutil.rmtree(root / "sub-b01")
    (root / "sub-b01").write_text("moved to the archive\n")


ZEROS = np.zeros(SHAPE, np.uint8)
LABELS = np.ones(SHAPE, np.uint8) * np.arange(SHAPE[2], dtype=np.uint8)
B01 = ("sub-b01", None)

LAYOUTS = [
    Entry("T1w 1 mm beside the FLAIR grid", other_t1w(voxels_of(1, "T1w"), shifted(1)), "excluded", file="ses-02_T1w.nii.gz", says="up to 1 mm off", way_out="sequences_aligned=false"),
    Entry("T1w of another shape", other_t1w(np.ones(OTHER_SHAPE, np.int16)), "excluded", file="ses-02_T1w.nii.gz", says="20 x 20 x 20 voxels", way_out="Resample it"),
    Entry("FLAIR of another session", lambda r: move(flair(r), "sub-a01_ses-01_FLAIR.nii.gz"), "excluded", file="sub-a01_ses-01_FLAIR.nii.gz", says="lies in the folder of sub-a01 ses-02", way_out="Move it"),
    Entry("FLAIR of somebody else", lambda r: move(flair(r), "sub-b01_ses-02_FLAIR.nii.gz"), "excluded", file="sub-b01_ses-02_FLAIR.nii.gz", says="lies in the folder of sub-a01 ses-02", way_out="Move it"),
    Entry("no FLAIR", lambda r: flair(r).unlink(), "excluded", file="sub-a01/ses-02/anat", says="no FLAIR", way_out="Restore it"),
    Entry("no session folder", lambda r: shutil.rmtree(r / "sub-a01/ses-02"), "excluded", file="sub-a01/ses-02", says="no FLAIR", way_out="Restore it"),
    Entry("packed and unpacked", unpacked_beside, "excluded", file="sub-a01_ses-02_FLAIR.nii", says="more than one FLAIR", way_out="keep one"),
    Entry("session folder in a circle", folder_replaced("sub-a01/ses-02", "ses-02"), "excluded", file="sub-a01/ses-02", says="in a circle", way_out="Put the"),
    Entry("folder that may not be read", lambda r: flair(r).parent.chmod(0), "excluded", file="sub-a01/ses-02/anat", says="may not be read", way_out="permission", unprivileged=True),
    Entry("participant's folder in a circle", folder_replaced("sub-b01", "sub-b01"), "excluded", file="sub-b01", says="leads nowhere", way_out="restore the folder", who=B01),
    Entry("participant's folder gone", folder_replaced("sub-b01", "../gone"), "excluded", file="sub-b01", says="leads nowhere", way_out="restore the folder", who=B01),
    Entry("participant's folder is a file", file_for_folder, "excluded", file="sub-b01", says="a file stands in the place", way_out="restore the folder", who=B01),
    Entry("participant without a folder", lambda r: shutil.rmtree(r / "sub-b01"), "excluded", file="sub-b01", says="no sessions on disk", way_out="take its row out", who=B01),
    Entry("link that runs in a circle elsewhere", lambda r: (flair(r).parent / "all").symlink_to(r), "read"),
    Entry("files of a desktop", lambda r: (flair(r).parent / "._sub-a01_ses-02_FLAIR.nii.gz").write_bytes(b"x"), "read"),
    Entry("nobody's participant", lambda r: (r / "sub-x9").mkdir(), "refused", file="participants.tsv", says="sub-x9 has images but no diagnosis", way_out="Add the participant's row"),
    Entry("folder with a blank", lambda r: (r / "sub-a01 (copy)").mkdir(), "refused", file="sub-a01 (copy)", says="not a BIDS id", way_out="Rename it"),
    Entry("empty cohort", empty, "refused", file="cohort", says="no sessions on disk", way_out="set cohort.root"),
    Entry("folder above the cohort", nested, "refused", file="cohort", says="one in bids", way_out="Set cohort.root to"),
    Entry("no folder", shutil.rmtree, "refused", file="cohort", says="no cohort folder", way_out="Set cohort.root"),
    Entry("no folder of masks", lambda _: None, "refused", file="derivatives/reference", says="no folder of reference masks", way_out="cohort.reference_masks", settings=MASKS),
    Entry("mask on another grid", mask(ZEROS, shifted(1)), "read", file="ses-02_label-L_mask.nii.gz", says="up to 1 mm off", way_out="Resample it", settings=MASKS),
    Entry("mask of another shape", mask(np.zeros(OTHER_SHAPE, np.uint8)), "read", file="ses-02_label-L_mask.nii.gz", says="20 x 20 x 20", way_out="Resample it", settings=MASKS),
    Entry("mask of many labels", mask(LABELS), "read", file="ses-02_label-L_mask.nii.gz", says="one positive value", way_out="binary mask", settings=MASKS),
    Entry("mask that leads nowhere", mask_link, "read", file="ses-02_label-L_mask.nii.gz", says="leads nowhere", way_out="Restore", settings=MASKS),
]  # fmt: skip
