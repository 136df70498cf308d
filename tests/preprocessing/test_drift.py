"""A scanner whose scale drifted between two sessions: found, told, and taken out."""

from __future__ import annotations

import numpy as np
import pytest
from tests.preprocessing.motions import motion

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing import drift
from lesion_dynamics.preprocessing.drift import shared_out, stretch_of, taken_out
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.preprocessing.resampling import resample
from lesion_dynamics.preprocessing.sessions import align_sessions
from lesion_dynamics.settings.preprocessing import PreprocessingSettings, RegistrationSettings

FIRST = motion([-2.0, 1.0, 2.0], [1.3, -1.7, 0.8])
SECOND = motion([2.0, -2.0, 4.0], [4.0, -2.2, 3.1])
GROWN = np.diag([1.01, 1.01, 1.01, 1.0])
BETWEEN = SECOND @ GROWN @ np.linalg.inv(FIRST)
COARSE = RegistrationSettings(iterations=(60, 30, 0))


def session(flair: Image, after: np.ndarray, seed: int) -> PreparedScan:
    """The head after a map, seen with noise of its own."""
    seen = resample(
        flair,
        shape=flair.shape,
        affine=flair.affine,
        image_from_target=np.linalg.inv(after),
        interpolation="cubic",
    ).voxels
    inside = seen > 40
    noise = np.random.default_rng(seed).normal(0, 8, seen.shape)
    image = flair.with_voxels(np.where(inside, seen + noise, 0).astype(np.float32))
    brain = flair.with_voxels(inside.astype(np.uint8))
    return PreparedScan({"FLAIR": PreparedSequence(image, np.eye(4))}, brain, np.eye(4))


@pytest.fixture(scope="module")
def scans(flair: Image) -> list[PreparedScan]:
    return [session(flair, FIRST, 1), session(flair, SECOND @ GROWN, 2)]


@pytest.fixture(scope="module")
def aligned(scans: list[PreparedScan], settings: PreprocessingSettings) -> list[PreparedScan]:
    return align_sessions(scans, settings=settings.registration, correct_drift=True)


def test_a_drift_of_one_percent_is_found_to_a_fifth(aligned: list[PreparedScan]) -> None:
    first, second = (scan.drift for scan in aligned)
    assert first is not None
    assert second is not None
    found = np.subtract(second.scale_percent, first.scale_percent)
    np.testing.assert_allclose(found, 1.0, atol=0.2)
    np.testing.assert_allclose(np.subtract(second.shear_percent, first.shear_percent), 0, atol=0.2)
    # Neither session is the true one.
    np.testing.assert_allclose(first.stretch, -second.stretch, atol=1e-12)


def test_corrected_volumes_are_those_of_one_scanner(
    scans: list[PreparedScan], aligned: list[PreparedScan]
) -> None:
    def scaled(scan: PreparedScan) -> float:
        return float(scan.brain_mask.voxels.sum()) * float(scan.volume_scale())

    assert float(aligned[1].volume_scale()) / float(aligned[0].volume_scale()) == pytest.approx(
        1 / 1.01**3, abs=0.004
    )
    raw = [float(scan.brain_mask.voxels.sum()) for scan in scans]
    before = raw[1] / raw[0] - 1
    assert before > 0.02
    assert abs(scaled(aligned[1]) / scaled(aligned[0]) - 1) < 0.5 * before


def test_corrected_sessions_lie_on_each_other(aligned: list[PreparedScan]) -> None:
    ours = np.linalg.inv(aligned[1].to_participant) @ aligned[0].to_participant
    points = np.argwhere(aligned[0].brain_mask.voxels > 0)[::50]
    affine = aligned[0].brain_mask.affine
    world = np.c_[points @ affine[:3, :3].T + affine[:3, 3], np.ones(len(points))]
    error = np.linalg.norm((world @ (ours - BETWEEN).T)[:, :3], axis=1)
    rigid = np.linalg.norm((world @ (SECOND @ np.linalg.inv(FIRST) - BETWEEN).T)[:, :3], axis=1)
    assert error.mean() < 0.15
    assert rigid.mean() > 0.5


def test_swapped_sessions_have_the_same_drift(
    scans: list[PreparedScan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "_SPACING_MM", 5.0)
    monkeypatch.setattr(drift, "_ITERATIONS", (5,))
    found = align_sessions(scans, settings=COARSE)
    swapped = align_sessions(scans[::-1], settings=COARSE)[::-1]
    for ours, other in zip(found, swapped, strict=True):
        assert ours.drift is not None
        assert other.drift is not None
        np.testing.assert_allclose(ours.drift.stretch, other.drift.stretch, atol=1e-9)
        # Reported only: the place stays rigid, and volumes are those of the native grid.
        assert not other.drift.corrected
        assert other.volume_scale() == 1.0
        turn = other.to_participant[:3, :3]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)


def test_a_single_session_has_no_drift(scans: list[PreparedScan]) -> None:
    (alone,) = align_sessions(scans[:1], settings=COARSE, correct_drift=True)
    assert alone.drift is None
    assert alone.volume_scale() == 1.0


def test_differences_are_shared_out_with_mean_zero() -> None:
    places = [np.full((2, 2), value) for value in (0.3, -0.1, 0.5)]
    between = {(i, j): places[j] - places[i] for i, j in ((0, 1), (0, 2), (1, 2))}
    for found, place in zip(shared_out(between, 3), places, strict=True):
        np.testing.assert_allclose(found, place - 0.7 / 3, atol=1e-12)


def test_a_known_residual_is_taken_out_about_its_centre() -> None:
    residual = np.zeros((4, 4))
    residual[:3, :3] = np.diag(np.log([1.01, 1.02, 0.99]))
    centre = np.array([5.0, -20.0, 10.0])
    found = taken_out(residual, SECOND, centre=centre)
    point = np.linalg.inv(SECOND) @ np.append(centre + np.array([1.01, 2.04, -0.99]), 1)
    np.testing.assert_allclose((found @ point)[:3], centre + np.array([1, 2, -1]), atol=1e-9)
    np.testing.assert_allclose(stretch_of(residual), residual[:3, :3])
