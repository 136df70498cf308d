"""Which patches are cut, and that their number alone decides them."""

from __future__ import annotations

import numpy as np
import torch
from tests.segmenter.training_scan_files import NO_AUGMENTATION, PATCH

from lesion_dynamics.segmenter.augmentation import PatchAugmentation
from lesion_dynamics.segmenter.network_input import BACKGROUND_Z
from lesion_dynamics.segmenter.patches import LabelledScans, PatchDataset, PatchNumbers, cut
from lesion_dynamics.segmenter.training_scans import TrainingScan
from lesion_dynamics.settings.training import AugmentationSettings, PatchSettings

BOTH = {"sequences": ("FLAIR", "T1w"), "optional_sequences": ("T1w",)}


def dataset(
    scans: list[TrainingScan],
    *,
    seed: int = 1,
    patch: PatchSettings = PATCH,
    augmentation: AugmentationSettings = NO_AUGMENTATION,
) -> PatchDataset:
    return PatchDataset(
        LabelledScans(scans, patch=patch, seed=seed),
        augmentation=PatchAugmentation(augmentation, **BOTH),
        seed=seed,
    )


def test_a_patch_inside_holds_the_voxels_around_its_centre() -> None:
    array = np.arange(2 * 20**3, dtype=np.float32).reshape(2, 20, 20, 20)
    patch = cut(array, np.array([10, 9, 8]), 8, outside=-1)
    np.testing.assert_array_equal(patch, array[:, 6:14, 5:13, 4:12])


def test_a_patch_that_sticks_out_is_padded_on_the_right_side() -> None:
    array = np.ones((1, 10, 10, 10), dtype=np.float32)
    patch = cut(array, np.array([1, 5, 9]), 8, outside=-4)
    assert (patch[0, :3] == -4).all()
    assert (patch[0, 3:, :, 5:] == -4).all()
    assert (patch[0, 3:, :, :5] == 1).all()


def test_a_patch_beyond_the_scan_is_background() -> None:
    assert (cut(np.ones((1, 4, 4, 4)), np.array([40, 0, 0]), 4, outside=-4) == -4).all()


def test_lesion_patches_hold_lesion_where_the_scan_has_any(scans: list[TrainingScan]) -> None:
    patches = dataset(scans)
    held = [float(patches[number]["reference"].sum()) for number in range(60)]
    lesion_free_scan = [sum_ == 0 for sum_ in held]
    # One scan of three has no lesion; every patch of the others is centred near one.
    assert sum(lesion_free_scan) == 20


def test_without_lesion_centres_most_patches_hold_none(scans: list[TrainingScan]) -> None:
    everywhere = PatchSettings(size_voxels=8, lesion_fraction=0.0, batch=2)
    on_lesions = PatchSettings(size_voxels=8, lesion_fraction=1.0, batch=2)
    counts = [
        sum(bool(dataset(scans, patch=patch)[n]["reference"].any()) for n in range(60))
        for patch in (everywhere, on_lesions)
    ]
    assert counts[0] < 15
    assert counts[1] == 40


def test_every_scan_is_seen_equally_often(scans: list[TrainingScan]) -> None:
    patches = LabelledScans(scans, patch=PATCH, seed=1)
    turns = [[patches.scan_index(3 * turn + place) for place in range(3)] for turn in range(20)]
    assert all(sorted(turn) == [0, 1, 2] for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 1


def test_number_and_seed_decide_a_patch_bit_for_bit(scans: list[TrainingScan]) -> None:
    lively = NO_AUGMENTATION.model_copy(
        update={"affine": 1.0, "rotation_degrees": 20.0, "noise": 1.0, "noise_std": 0.5}
    )
    first = dataset(scans, augmentation=lively)[7]
    torch.rand(5)  # what others draw in between does not matter
    again = dataset(scans, augmentation=lively)[7]
    other = dataset(scans, augmentation=lively, seed=2)[7]
    assert torch.equal(first["channels"], again["channels"])
    assert torch.equal(first["reference"], again["reference"])
    assert not torch.equal(first["channels"], other["channels"])


def test_making_a_patch_leaves_torchs_generator_alone(scans: list[TrainingScan]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    _ = dataset(scans)[0]
    assert torch.equal(torch.rand(1), expected)


def test_unchanged_patches_are_cut_from_the_stored_arrays(scans: list[TrainingScan]) -> None:
    patch = dataset(scans)[0]["channels"]
    inside = patch[0] != BACKGROUND_Z
    # T1w is minus half of FLAIR everywhere in these scans (float16 steps).
    torch.testing.assert_close(patch[1][inside], -patch[0][inside] / 2, atol=5e-3, rtol=0)


def test_epochs_and_ranks_share_out_the_numbers_without_overlap() -> None:
    def numbers(epoch: int, rank: int) -> list[int]:
        sampler = PatchNumbers(patches_per_epoch=10, rank=rank, world_size=2)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert numbers(0, 0) + numbers(0, 1) == [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]
    assert sorted(numbers(3, 0) + numbers(3, 1)) == list(range(30, 40))
