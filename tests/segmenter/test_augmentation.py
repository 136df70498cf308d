"""Each knob of the augmentation changes what it names, and nothing that it must not."""

from __future__ import annotations

import pytest
import torch
from tests.segmenter.training_scan_files import NO_AUGMENTATION

from lesion_dynamics.segmenter.augmentation import PatchAugmentation
from lesion_dynamics.segmenter.network_input import BACKGROUND_Z, MISSING_SEQUENCE_Z
from lesion_dynamics.settings.augmentation import AugmentationSettings


def augment(
    settings: AugmentationSettings, channels: torch.Tensor, reference: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    augmentation = PatchAugmentation(
        settings, sequences=("FLAIR", "T1w"), optional_sequences=("T1w",)
    )
    return augmentation(channels, reference, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def patch() -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth tissue with a bright cube that is lesion; a corner outside the brain."""
    x, y, z = torch.meshgrid(*[torch.linspace(-1, 1, 20)] * 3, indexing="ij")
    flair = 0.5 * x + 0.3 * y - 0.2 * z
    flair[5:9, 6:10, 7:11] = 2.0
    t1w = -0.4 * x + 0.2 * z
    reference = torch.zeros(1, 20, 20, 20)
    reference[0, 5:9, 6:10, 7:11] = 1
    channels = torch.stack([flair, t1w])
    channels[:, :, :, 17:] = BACKGROUND_Z
    return channels, reference


def test_nothing_asked_for_changes_nothing(patch: tuple[torch.Tensor, torch.Tensor]) -> None:
    channels, reference = augment(NO_AUGMENTATION, *patch)
    torch.testing.assert_close(channels, patch[0], atol=1e-5, rtol=0)
    assert torch.equal(reference, patch[1])


def test_dark_csf_is_inside_the_brain_and_keeps_its_other_sequences(
    patch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    patch[0][0, 12:15, 12:15, 5:8] = BACKGROUND_Z
    channels, _ = augment(NO_AUGMENTATION, *patch)
    torch.testing.assert_close(channels, patch[0], atol=1e-5, rtol=0)
    former = NO_AUGMENTATION.model_copy(update={"darkest_flair_is_outside": True})
    channels, _ = augment(former, *patch)
    assert (channels[1, 12:15, 12:15, 5:8] == BACKGROUND_Z).all()
    torch.testing.assert_close(channels[1, :12], patch[0][1, :12], atol=1e-5, rtol=0)


KNOBS = [
    ({"flip": 1.0}, True),
    ({"affine": 1.0, "rotation_degrees": 20.0}, True),
    ({"affine": 1.0, "scaling": 0.3}, True),
    ({"elastic": 1.0, "elastic_displacement_voxels": 3, "elastic_spacing_voxels": 8}, True),
    ({"bias_field": 1.0, "bias_field_coefficient": 0.5}, False),
    ({"gamma": 1.0, "gamma_log": 0.5}, False),
    ({"intensity": 1.0, "intensity_scaling": 0.3}, False),
    ({"intensity": 1.0, "intensity_shift": 0.5}, False),
    ({"noise": 1.0, "noise_std": 0.5}, False),
    ({"blur": 1.0, "blur_std_voxels": 2.0}, False),
    ({"motion": 1.0, "motion_degrees": 20.0}, False),
    ({"motion": 1.0, "motion_voxels": 5.0}, False),
    ({"ghosting": 1.0, "ghosting_strength": 1.0}, False),
    ({"thick_slices": 1.0, "slice_factor": 4.0}, False),
]


@pytest.mark.parametrize(("knob", "moves"), KNOBS, ids=[",".join(k) for k, _ in KNOBS])
def test_every_knob_is_alive(
    knob: dict[str, float], moves: bool, patch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    settings = NO_AUGMENTATION.model_copy(update=knob)
    channels, reference = augment(settings, *patch)
    assert (channels - patch[0]).abs().max() > 0.02
    assert torch.equal(reference, patch[1]) is not moves
    if not moves:
        outside = patch[0] == BACKGROUND_Z
        assert (channels[outside] == BACKGROUND_Z).all()


def test_a_flip_mirrors_left_and_right_of_images_and_reference(
    patch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    channels, reference = augment(NO_AUGMENTATION.model_copy(update={"flip": 1.0}), *patch)
    torch.testing.assert_close(channels, patch[0].flip(1), atol=1e-5, rtol=0)
    assert torch.equal(reference, patch[1].flip(1))


@pytest.mark.parametrize(
    "moving",
    [
        {"affine": 1.0, "rotation_degrees": 15.0, "scaling": 0.1},
        {"elastic": 1.0, "elastic_displacement_voxels": 3.0, "elastic_spacing_voxels": 8.0},
    ],
)
def test_reference_and_image_move_together(
    moving: dict[str, float], patch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    channels, reference = augment(NO_AUGMENTATION.model_copy(update=moving), *patch)
    lesion = reference[0] > 0
    assert channels[0][lesion].median() > 1.5
    assert channels[0][~lesion].median() < 0.6


def test_wider_control_points_bend_more_smoothly(
    patch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    ramp = torch.linspace(0, 1, 20)[:, None, None].expand(2, 20, 20, 20).contiguous()
    bends = {}
    for spacing in (6.0, 18.0):
        moving = {"elastic": 1.0, "elastic_displacement_voxels": 2.0,
                  "elastic_spacing_voxels": spacing}  # fmt: skip
        channels, _ = augment(NO_AUGMENTATION.model_copy(update=moving), ramp, patch[1])
        inside = channels[0, 4:-4, 4:-4, 4:-4]
        bends[spacing] = float(inside.diff(n=2, dim=1).abs().mean())
    assert bends[18.0] < 0.5 * bends[6.0]


def test_where_it_is_off_the_deformation_draws_nothing(
    patch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """Trainings of the time before it keep their patches."""
    noisy = NO_AUGMENTATION.model_copy(update={"noise": 1.0, "noise_std": 0.5})
    with_knob = noisy.model_copy(update={"elastic_displacement_voxels": 3.0})
    assert torch.equal(augment(noisy, *patch)[0], augment(with_knob, *patch)[0])


def test_a_deformation_that_could_fold_is_refused() -> None:
    given = {**NO_AUGMENTATION.model_dump(), "elastic_displacement_voxels": 9.7}
    with pytest.raises(ValueError, match=r"at most 9.6 with elastic_spacing_voxels=24"):
        AugmentationSettings(**given)


def test_a_dropped_sequence_is_constant_and_flair_never_is(
    patch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    settings = NO_AUGMENTATION.model_copy(update={"sequence_dropout": 1.0})
    channels, _ = augment(settings, *patch)
    assert (channels[1] == MISSING_SEQUENCE_Z).all()
    torch.testing.assert_close(channels[0], patch[0][0], atol=1e-5, rtol=0)


def test_a_sequence_that_the_scan_lacks_stays_missing(
    patch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    given = patch[0].clone()
    given[1] = MISSING_SEQUENCE_Z
    settings = NO_AUGMENTATION.model_copy(update={"noise": 1.0, "noise_std": 0.5})
    channels, _ = augment(settings, given, patch[1])
    assert (channels[1] == MISSING_SEQUENCE_Z).all()
