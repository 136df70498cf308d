"""Raw clinical scans of two people, against what the data's authors published.

Lesjak et al., Neuroinformatics 2016: whole-head FLAIR of 0.6 to 0.7 x 0.7 x 3 to 4 mm, oblique, two
sessions. The authors' transforms are affine (they hold up to 1% of scale), ITK, in LPS.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.preprocessing.motions import displacement

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.resampling import resample
from lesion_dynamics.preprocessing.sessions import align_sessions
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.preprocessing import PreprocessingSettings

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("OPEN_MS_DATA", ROOT.parent / "shared" / "open_ms_data"))
RAW = REAL / "longitudinal" / "raw"
COREGISTERED = REAL / "longitudinal" / "coregistered"
LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.slow,
    pytest.mark.skipif(not RAW.is_dir(), reason=f"no open MS data at {REAL} (set OPEN_MS_DATA)"),
]


def itk_transform(path: Path) -> np.ndarray:
    """An ITK affine transform as (4, 4), fixed world to moving world in RAS+ mm."""
    values = {
        key: np.array([float(value) for value in rest.split()])
        for key, _, rest in (line.partition(":") for line in path.read_text().splitlines())
        if key in ("Parameters", "FixedParameters")
    }
    matrix = np.eye(4)
    matrix[:3, :3] = values["Parameters"][:9].reshape(3, 3)
    centre = values["FixedParameters"]
    matrix[:3, 3] = values["Parameters"][9:] + centre - matrix[:3, :3] @ centre
    return LPS_FROM_RAS @ matrix @ LPS_FROM_RAS


def session_from_common(patient: str, study: int) -> np.ndarray:
    return itk_transform(RAW / patient / f"study{study}_FLAIR_to_common_space.txt")


@cache
def prepared_flair(patient: str, study: int, settings: PreprocessingSettings) -> PreparedScan:
    images = {"FLAIR": RAW / patient / f"study{study}_FLAIR.nii.gz"}
    scan = Scan(f"sub-{patient}", f"ses-{study:02d}", images)
    return prepare_scan(scan, Prepared(), settings=settings)


def agreement(scan: PreparedScan, reference: Image, from_reference: np.ndarray) -> dict[str, float]:
    mask = scan.brain_mask
    found = resample(
        mask.with_voxels(mask.voxels.astype(np.float32)),
        shape=reference.shape,
        affine=reference.affine,
        image_from_target=from_reference,
        interpolation="linear",
    )
    ours, theirs = found.voxels >= 0.5, reference.voxels > 0
    both = float((ours & theirs).sum())
    return {"dice": 2 * both / (ours.sum() + theirs.sum()), "covered": both / theirs.sum()}


@pytest.mark.parametrize(
    # Upstream's mask of patient03 (1,186 ml) ends before the frontal pole, the vertex and the
    # temporal poles; a mask of the whole brain cannot reach a higher Dice, so it must cover it.
    ("patient", "dice", "covered"),
    [("patient01", 0.93, 0.95), ("patient03", 0.86, 0.98)],
)
@pytest.mark.parametrize("study", [1, 2])
def test_brain_masks_agree_with_upstreams(
    settings: PreprocessingSettings, patient: str, study: int, dice: float, covered: float
) -> None:
    reference = read_mask(COREGISTERED / patient / "brainmask.nii.gz")
    scan = prepared_flair(patient, study, settings)
    found = agreement(scan, reference, session_from_common(patient, study))
    assert found["dice"] >= dice
    assert found["covered"] >= covered


@pytest.mark.parametrize("patient", ["patient01", "patient03"])
def test_two_sessions_of_one_head_have_brains_of_one_size(
    settings: PreprocessingSettings, patient: str
) -> None:
    first, second = (
        float(scan.brain_mask.voxels.sum()) * scan.brain_mask.voxel_volume_mm3
        for scan in (prepared_flair(patient, study, settings) for study in (1, 2))
    )
    assert abs(second - first) / first < 0.05


@pytest.mark.parametrize(("patient", "limit_mm"), [("patient01", 0.4), ("patient03", 1.0)])
def test_sessions_are_aligned_as_upstream_aligned_them(
    settings: PreprocessingSettings, patient: str, limit_mm: float
) -> None:
    scans = [prepared_flair(patient, study, settings) for study in (1, 2)]
    first, second = align_sessions(scans, settings=settings.registration)
    ours = np.linalg.inv(second.to_participant) @ first.to_participant
    theirs = session_from_common(patient, 2) @ np.linalg.inv(session_from_common(patient, 1))
    assert displacement(ours, theirs, first.brain_mask) <= limit_mm


def test_a_t1w_is_laid_on_its_flair_as_upstream_laid_it(settings: PreprocessingSettings) -> None:
    folder = RAW / "patient01"
    images = {"FLAIR": folder / "study1_FLAIR.nii.gz", "T1w": folder / "study1_T1W.nii.gz"}
    scan = prepare_scan(Scan("sub-01", "ses-01", images), Prepared(), settings=settings)
    t1w_from_flair = itk_transform(folder / "study1_T1W_intrastudy_to_FLAIR.txt")
    ours = np.linalg.inv(scan.sequences["T1w"].to_flair)
    assert displacement(ours, t1w_from_flair, scan.brain_mask) <= 1.0


def test_a_participant_whose_first_session_lacks_a_t1w_goes_through(
    settings: PreprocessingSettings,
) -> None:
    folder = RAW / "patient03"
    assert not (folder / "study1_T1W.nii.gz").exists()
    first = prepared_flair("patient03", 1, settings)
    images = {"FLAIR": folder / "study2_FLAIR.nii.gz", "T1w": folder / "study2_T1W.nii.gz"}
    second = prepare_scan(Scan("sub-03", "ses-02", images), Prepared(), settings=settings)
    assert (sorted(first.sequences), sorted(second.sequences)) == (["FLAIR"], ["FLAIR", "T1w"])
    t1w_from_flair = itk_transform(folder / "study2_T1W_intrastudy_to_FLAIR.txt")
    ours = np.linalg.inv(second.sequences["T1w"].to_flair)
    assert displacement(ours, t1w_from_flair, second.brain_mask) <= 1.0
    aligned = align_sessions([first, second], settings=settings.registration)
    swapped = align_sessions([second, first], settings=settings.registration)[::-1]
    for one, other in zip(aligned, swapped, strict=True):
        moved_by = displacement(one.to_participant, other.to_participant, one.brain_mask)
        assert moved_by < 0.1
        # Two clinical scans of one head differ by some tenths of a percent.
        assert one.drift is not None
        assert np.abs(one.drift.scale_percent).max() < 1.5
