"""What can be wrong with a cohort: one line, status 2, torch never loaded, nothing written."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.commands.command_line import run
from tests.conftest import Workplace

from lesion_dynamics.model_version import ModelVersion

Damage = Callable[[Path], None]


def image_of(cohort: Path, sequence: str) -> Path:
    (path,) = cohort.glob(f"sub-*/ses-*/anat/*_{sequence}.nii.gz")
    return path


def rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray], shift_mm: float = 0.0) -> None:
    image = nib.load(path)
    affine = image.affine.copy()
    affine[0, 3] += shift_mm
    nib.save(nib.Nifti1Image(change(np.asarray(image.dataobj)), affine), path)


def replace_in(path: Path, old: str, new: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new), encoding="utf-8")


def with_nan(voxels: np.ndarray) -> np.ndarray:
    changed = voxels.astype(np.float32)
    changed[5, 5, 5] = np.nan
    return changed


def sessions_of(cohort: Path) -> Path:
    (path,) = cohort.glob("sub-*/sub-*_sessions.tsv")
    return path


def without_days(cohort: Path) -> None:
    rows = [line.split("\t") for line in sessions_of(cohort).read_text().splitlines()]
    place = rows[0].index("days_from_baseline")
    for row in rows[1:]:
        row[place] = "n/a"
    sessions_of(cohort).write_text("\n".join("\t".join(row) for row in rows) + "\n")


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4000])


def lying_about_its_size(path: Path) -> None:
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[42:48] = np.array([2000, 2000, 200], dtype="<i2").tobytes()  # dim[1:4]
    path.write_bytes(gzip.compress(bytes(content)))


def empty(cohort: Path) -> None:
    for participant in cohort.glob("sub-*"):
        shutil.rmtree(participant)


CASES: list[tuple[str, Damage, list[str]]] = [
    ("no such cohort", shutil.rmtree, ["no cohort folder", "cohort.root"]),
    ("empty cohort", empty, ["no usable scan", "no sessions on disk", "cohort.root"]),
    (
        "no diagnosis",
        lambda c: replace_in(c / "participants.tsv", "\tMS\t", "\tn/a\t"),
        ["participants.tsv", "diagnosis"],
    ),
    ("no days", without_days, ["sessions.tsv", "days"]),
    ("truncated", lambda c: cut_short(image_of(c, "FLAIR")), ["FLAIR.nii.gz"]),
    (
        "4D",
        lambda c: rewrite(image_of(c, "FLAIR"), lambda v: np.stack([v, v], axis=-1)),
        ["FLAIR.nii.gz", "not one 3D image"],
    ),
    (
        "all zero",
        lambda c: rewrite(image_of(c, "FLAIR"), np.zeros_like),
        ["FLAIR.nii.gz", "every voxel is 0"],
    ),
    ("NaN", lambda c: rewrite(image_of(c, "FLAIR"), with_nan), ["FLAIR.nii.gz", "NaN"]),
    (
        "T1w elsewhere",
        lambda c: rewrite(image_of(c, "T1w"), lambda v: v, shift_mm=9.0),
        ["T1w.nii.gz", "FLAIR"],
    ),
    (
        "claims more than it holds",
        lambda c: lying_about_its_size(image_of(c, "FLAIR")),
        ["FLAIR.nii.gz"],
    ),
]


@pytest.fixture
def one_scan(small_phantom: Path, tmp_path: Path) -> Path:
    """A cohort of one MS participant with one session."""
    source = small_phantom / "study"
    lines = (source / "participants.tsv").read_text().splitlines()
    chosen = next(line for line in lines if "\tMS\t" in line)
    participant_id = chosen.split("\t")[0]
    cohort = tmp_path / "cohort"
    shutil.copytree(source / participant_id, cohort / participant_id)
    (cohort / "participants.tsv").write_text(f"{lines[0]}\n{chosen}\n")
    for session in sorted((cohort / participant_id).glob("ses-*"))[1:]:
        shutil.rmtree(session)
    rows = sessions_of(cohort).read_text().splitlines()[:2]
    sessions_of(cohort).write_text("\n".join(rows) + "\n")
    return cohort


@pytest.mark.parametrize(("damage", "said"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_bad_cohort_is_refused_in_one_line_before_torch(
    damage: Damage,
    said: list[str],
    one_scan: Path,
    tmp_path: Path,
    trained: tuple[Workplace, ModelVersion],
) -> None:
    damage(one_scan)
    status, stderr, torch_loaded = run(
        "infer.py",
        "cohort=study",
        f"cohort.root={one_scan}",
        f"model_version={trained[0].folder / 'models/lesion-segmenter'}",
        f"output={tmp_path / 'out'}",
        f"tracking.folder={tmp_path / 'tracking'}",
        cwd=tmp_path,
    )
    assert status == 2, stderr
    assert len(stderr.splitlines()) == 1, stderr
    for part in said:
        assert part in stderr
    assert not torch_loaded
    assert not list((tmp_path / "out").rglob("*.nii.gz"))


@pytest.mark.slow
def test_the_undamaged_cohort_is_segmented(
    one_scan: Path, tmp_path: Path, trained: tuple[Workplace, ModelVersion]
) -> None:
    status, stderr, _ = run(
        "infer.py",
        "cohort=study",
        f"cohort.root={one_scan}",
        f"model_version={trained[0].folder / 'models/lesion-segmenter'}",
        f"output={tmp_path / 'out'}",
        cwd=tmp_path,
    )
    assert status == 0, stderr
    assert len(list((tmp_path / "out").rglob("*_label-L_mask.nii.gz"))) == 1
