"""Known rigid motions are found, whatever the contrast and the grid."""

from __future__ import annotations

import numpy as np
import pytest
from tests.preprocessing.motions import after, displacement, mask_of, motion, turned_degrees

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.registration import (
    rigid_registration,
    start_of_other_session,
    start_of_same_session,
)
from lesion_dynamics.preprocessing.resampling import resample
from lesion_dynamics.settings.preprocessing import PreprocessingSettings, RegistrationSettings

MOVED = motion([4.0, -3.0, 6.0], [5.0, -4.0, 3.0])
NOWHERE = np.eye(4)


@pytest.fixture(scope="module")
def moved(brain: Image) -> Image:
    return after(brain, MOVED)


def registered(fixed: Image, moving: Image, settings: RegistrationSettings) -> np.ndarray:
    return rigid_registration(
        fixed, moving, settings=settings, start=NOWHERE, fixed_brain=mask_of(fixed)
    )


def test_a_known_motion_is_recovered(
    brain: Image, moved: Image, settings: PreprocessingSettings
) -> None:
    found = registered(brain, moved, settings.registration)
    assert displacement(found, MOVED, brain) < 0.1  # voxels of 3 mm
    assert turned_degrees(found, MOVED) < 0.1


def test_another_contrast_on_an_oblique_grid_of_thick_slices_is_found(
    brain: Image, flair: Image, settings: PreprocessingSettings
) -> None:
    oblique = motion([6, -8, 3], [0, 0, 0]) @ np.diag([1.5, 1.5, 4.0, 1.0])
    size = (140, 150, 45)
    oblique[:3, 3] = -oblique[:3, :3] @ (np.array(size) / 2) + [0, -18, 15]
    small = motion([1.5, -1.0, 2.0], [1.0, -2.0, 1.5])
    thick = resample(
        flair,
        shape=size,
        affine=oblique,
        image_from_target=np.linalg.inv(small),
        interpolation="cubic",
    )
    found = registered(brain, thick, settings.registration)
    assert displacement(found, small, brain) < 0.3
    assert turned_degrees(found, small) < 0.2


def test_the_start_counts_by_its_place_and_not_only_as_a_guess(
    brain: Image, moved: Image, settings: PreprocessingSettings
) -> None:
    far = motion([0, 0, 0], [40, -60, 25])
    there = Image(moved.voxels, far @ moved.affine)
    found = rigid_registration(
        brain,
        there,
        settings=settings.registration,
        start=start_of_other_session(mask_of(brain), mask_of(there)),
        fixed_brain=mask_of(brain),
    )
    assert displacement(found, far @ MOVED, brain) < 0.1


def test_the_same_images_give_the_same_motion(
    brain: Image, moved: Image, settings: PreprocessingSettings
) -> None:
    first, second = (registered(brain, moved, settings.registration) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_every_knob_is_alive(brain: Image, moved: Image, settings: PreprocessingSettings) -> None:
    little = registered(brain, moved, RegistrationSettings(iterations=(1, 0, 0)))
    assert displacement(little, MOVED, brain) > 0.5
    usual = registered(brain, moved, settings.registration)
    levels = settings.registration.iterations
    other = registered(brain, moved, RegistrationSettings(metric="MI", iterations=levels))
    assert 0 < displacement(usual, other, brain) < 0.3


def test_coarse_levels_may_be_left_out_but_not_all(brain: Image) -> None:
    shifted = Image(brain.voxels, motion([0, 0, 0], [1.5, -1.0, 0.5]) @ brain.affine)
    found = registered(brain, shifted, RegistrationSettings(iterations=(0, 40, 10)))
    assert displacement(found, motion([0, 0, 0], [1.5, -1.0, 0.5]), brain) < 0.1
    with pytest.raises(ValueError, match="at least one iteration"):
        RegistrationSettings(iterations=(0, 0))


def test_only_the_brain_counts(brain: Image, moved: Image, settings: PreprocessingSettings) -> None:
    def with_neck(image: Image, place: int) -> Image:
        voxels = image.voxels.copy()
        voxels[20:45, place : place + 14, :5] = 800.0
        return image.with_voxels(voxels)

    found = rigid_registration(
        with_neck(brain, 15),
        with_neck(moved, 20),
        settings=settings.registration,
        start=NOWHERE,
        fixed_brain=mask_of(brain),
    )
    assert displacement(found, MOVED, brain) < 0.3


def test_nothing_is_printed(
    brain: Image,
    moved: Image,
    settings: PreprocessingSettings,
    capfd: pytest.CaptureFixture[str],
) -> None:
    registered(brain, moved, settings.registration)
    assert capfd.readouterr() == ("", "")


def test_headers_of_one_session_are_believed_while_they_cover_the_brain(brain: Image) -> None:
    mask = mask_of(brain)
    np.testing.assert_array_equal(start_of_same_session(mask, brain), np.eye(4))
    lost = Image(brain.voxels, motion([0, 0, 0], [300, 0, 0]) @ brain.affine)
    shift = start_of_same_session(mask, lost)[:3, 3]
    middle = brain.affine[:3, :3] @ ((np.array(brain.shape) - 1) / 2) + brain.affine[:3, 3]
    centre = np.argwhere(mask.voxels).mean(axis=0) @ brain.affine[:3, :3].T + brain.affine[:3, 3]
    np.testing.assert_allclose(shift, middle + np.array([300, 0, 0]) - centre, atol=1e-9)


class GreedyThatFails:
    def execute(self, *_: object, **__: object) -> None:
        raise RuntimeError("no overlap\nand more")


class GreedyThatStretches:
    def execute(self, *_: object, **__: object) -> None:
        pass

    def __getitem__(self, _: str) -> np.ndarray:
        return np.diag([1.2, 1.2, 1.2, 1.0])


@pytest.mark.parametrize(
    ("greedy", "words"), [(GreedyThatFails, "no overlap"), (GreedyThatStretches, "not rigid")]
)
def test_a_failure_of_greedy_is_one_line_for_the_user(
    brain: Image,
    settings: PreprocessingSettings,
    monkeypatch: pytest.MonkeyPatch,
    greedy: type,
    words: str,
) -> None:
    monkeypatch.setattr("picsl_greedy.Greedy3D", greedy)
    with pytest.raises(ScanError, match=words) as raised:
        registered(brain, brain, settings.registration)
    assert "\n" not in str(raised.value)
