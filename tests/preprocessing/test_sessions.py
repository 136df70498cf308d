"""The participant's space favours no session, and a mask goes there and home again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.preprocessing.motions import after, displacement, mask_of, motion

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing import registration, session_pairs
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.preprocessing.resampling import resample
from lesion_dynamics.preprocessing.rigid_motion import mean_motion
from lesion_dynamics.preprocessing.sessions import align_sessions
from lesion_dynamics.settings.preprocessing import PreprocessingSettings, RegistrationSettings

pytestmark = pytest.mark.usefixtures("no_drift")
"""What is left after the rigid step has tests of its own."""

MOVED = motion([4.0, -3.0, 6.0], [5.0, -4.0, 3.0])
OTHER = motion([-2.0, 5.0, 1.0], [-3.0, 2.0, 6.0])


def prepared(image: Image) -> PreparedScan:
    return PreparedScan({"FLAIR": PreparedSequence(image, np.eye(4))}, mask_of(image), np.eye(4))


@pytest.fixture(scope="module")
def scans(flair: Image) -> list[PreparedScan]:
    """Three sessions: as it is, after MOVED, after OTHER."""
    return [prepared(flair), prepared(after(flair, MOVED)), prepared(after(flair, OTHER))]


@pytest.fixture(scope="module")
def aligned(scans: list[PreparedScan], settings: PreprocessingSettings) -> list[PreparedScan]:
    return align_sessions(scans[:2], settings=settings.registration)


def test_swapping_two_sessions_leaves_the_aligned_images_where_they_are(
    scans: list[PreparedScan], aligned: list[PreparedScan], settings: PreprocessingSettings
) -> None:
    brain = scans[0].brain_mask
    swapped = align_sessions(scans[1::-1], settings=settings.registration)[::-1]
    for one, other in zip(aligned, swapped, strict=True):
        assert displacement(one.to_participant, other.to_participant, brain) < 1e-6


def test_two_sessions_meet_halfway(scans: list[PreparedScan], aligned: list[PreparedScan]) -> None:
    first, second = (scan.to_participant for scan in aligned)
    np.testing.assert_allclose(first @ second, np.eye(4), atol=1e-9)
    assert displacement(first, second @ MOVED, scans[0].brain_mask) < 0.1


def test_three_sessions_meet_in_their_mean_in_any_order(
    scans: list[PreparedScan],
) -> None:
    brain = scans[0].brain_mask
    coarse = RegistrationSettings(iterations=(60, 30, 0))
    found = [scan.to_participant for scan in align_sessions(scans, settings=coarse)]
    np.testing.assert_allclose(mean_motion(found), np.eye(4), atol=1e-9)
    assert displacement(found[0], found[1] @ MOVED, brain) < 0.3
    assert displacement(found[0], found[2] @ OTHER, brain) < 0.3
    turned = align_sessions([scans[2], scans[0], scans[1]], settings=coarse)
    for ours, other in zip(found, [turned[1], turned[2], turned[0]], strict=True):
        assert displacement(ours, other.to_participant, brain) < 1e-6


def test_many_sessions_are_registered_to_the_sharpest_in_any_order(
    flair: Image, settings: PreprocessingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "rigid_registration", lambda *_, **__: np.eye(4))
    stretched = [Image(flair.voxels + k, flair.affine * np.array([[1, 1, 1 + 0.1 * k, 1]] * 4))
                 for k in (2, 1, 3, 4, 0.5)]  # fmt: skip
    many = [prepared(image) for image in stretched]
    assert session_pairs.pairs_to_register(many) == [(4, 0), (4, 1), (4, 2), (4, 3)]
    assert session_pairs.pairs_to_register(many[::-1]) == [(0, 1), (0, 2), (0, 3), (0, 4)]
    assert session_pairs.pairs_to_register(many[:4]) == list(itertools.combinations(range(4), 2))
    assert len(align_sessions(many, settings=settings.registration)) == 5


def test_a_single_session_stays_where_it_is(
    scans: list[PreparedScan], settings: PreprocessingSettings
) -> None:
    (alone,) = align_sessions(scans[:1], settings=settings.registration)
    np.testing.assert_allclose(alone.to_participant, np.eye(4), atol=1e-12)


def test_a_mask_goes_to_the_participants_space_and_home_again(
    aligned: list[PreparedScan],
) -> None:
    scan = aligned[1]
    mask = scan.brain_mask.with_voxels(scan.brain_mask.voxels.astype(np.float32))
    fine = np.diag([1.5, 1.5, 1.5, 1.0])
    fine[:3, 3] = mask.affine[:3, 3] - 10
    there = resample(
        mask,
        shape=tuple(int(size * 2 + 14) for size in mask.shape),
        affine=fine,
        image_from_target=np.linalg.inv(scan.to_participant),
        interpolation="linear",
    )
    home = resample(
        there,
        shape=mask.shape,
        affine=mask.affine,
        image_from_target=scan.to_participant,
        interpolation="linear",
    )
    back, sent = home.voxels >= 0.5, mask.voxels >= 0.5
    assert abs(int(back.sum()) - int(sent.sum())) / sent.sum() < 0.01
    assert 2 * (back & sent).sum() / (back.sum() + sent.sum()) > 0.97
