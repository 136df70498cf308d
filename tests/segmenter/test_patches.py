"""Which patches are cut, and that their number alone decides them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch
from tests.segmenter.small_training import settings
from tests.segmenter.training_scan_files import NO_AUGMENTATION, PATCH, write_scan

from lesion_dynamics.segmenter.augmentation import PatchAugmentation
from lesion_dynamics.segmenter.network_input import BACKGROUND_Z, MISSING_SEQUENCE_Z
from lesion_dynamics.segmenter.patch_schedule import PatchSchedule
from lesion_dynamics.segmenter.patches import LabelledScans, PatchDataset, cut
from lesion_dynamics.segmenter.training_scans import (
    TrainingScan,
    lesion_by_lesion,
    lookalike_voxels,
)
from lesion_dynamics.settings.augmentation import AugmentationSettings
from lesion_dynamics.settings.training import PatchSettings
from lesion_dynamics.synthesis.source import MixedSource

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
    patch = cut(array, np.array([10, 9, 8]), 8, outside=np.full(2, -1))
    np.testing.assert_array_equal(patch, array[:, 6:14, 5:13, 4:12])


def test_a_patch_that_sticks_out_is_padded_on_the_right_side() -> None:
    array = np.ones((1, 10, 10, 10), dtype=np.float32)
    patch = cut(array, np.array([1, 5, 9]), 8, outside=np.full(1, -4))
    assert (patch[0, :3] == -4).all()
    assert (patch[0, 3:, :, 5:] == -4).all()
    assert (patch[0, 3:, :, :5] == 1).all()


def test_a_patch_beyond_the_scan_is_background() -> None:
    assert (cut(np.ones((1, 4, 4, 4)), np.array([40, 0, 0]), 4, outside=np.full(1, -4)) == -4).all()


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


def test_lesions_are_chosen_by_voxels_or_each_alike(tmp_path: Path) -> None:
    """Of a lesion of 12 voxels and a speck of one, far apart: 1 in 13 against 1 in 2."""
    scan = write_scan(tmp_path, 0, lesion=True, speck=True)
    shares = {}
    for power in (1.0, 0.0):
        patch = PatchSettings(size_voxels=8, lesion_fraction=1.0, lesion_size_power=power, batch=2)
        source = LabelledScans([scan], patch=patch, seed=1)
        places = [source._centre(scan, np.random.default_rng(n), 8) for n in range(300)]
        shares[power] = np.mean([(place < 5).all() for place in places])
    assert abs(shares[1.0] - 1 / 13) < 0.05
    assert abs(shares[0.0] - 1 / 2) < 0.09


def test_the_stated_share_of_patches_is_centred_on_look_alikes(tmp_path: Path) -> None:
    scan = write_scan(tmp_path, 0, lesion=True)
    patch = PatchSettings(size_voxels=8, lesion_fraction=0.5, lookalike_fraction=0.3, batch=2)
    source = LabelledScans([scan], patch=patch, seed=1)
    places = np.array([source._centre(scan, np.random.default_rng(n), 8) for n in range(400)])
    # The one look-alike voxel lies at (4, 20, 5); centres are moved by up to 2 voxels.
    near = (np.abs(places - [4, 20, 5]) <= 2).all(axis=1).mean()
    on_lesion = (np.abs(places - [10.5, 13, 9.5]) <= [2.5, 3, 2.5]).all(axis=1).mean()
    assert abs(near - 0.3) < 0.07
    assert abs(on_lesion - 0.5) < 0.08


def test_lesion_voxels_stand_lesion_by_lesion() -> None:
    reference = np.zeros((8, 8, 8), dtype=np.uint8)
    reference[0, 0, 0] = reference[0, 7, 7] = reference[1, 0, 1] = reference[1, 7, 7] = 1
    voxels, sizes = lesion_by_lesion(reference)
    assert sizes.tolist() == [2, 2]
    first, second = voxels[:2].tolist(), voxels[2:].tolist()
    assert sorted([sorted(first), sorted(second)]) == [
        [[0, 0, 0], [1, 0, 1]],
        [[0, 7, 7], [1, 7, 7]],
    ]
    assert lesion_by_lesion(np.zeros((3, 3, 3), dtype=np.uint8))[0].shape == (0, 3)


def test_look_alikes_are_the_brightest_voxels_away_from_lesions() -> None:
    rng = np.random.default_rng(1)
    flair = rng.normal(size=(20, 20, 20)).astype(np.float32)
    reference = np.zeros(flair.shape, dtype=np.uint8)
    reference[5:8, 5:8, 5:8] = 1
    flair[5:8, 5:8, 5:8] = 9  # lesion
    flair[8, 6, 6] = 8  # its rim
    flair[15, 15, 15] = 7
    flair[0] = 20  # outside the brain
    brain = np.ones(flair.shape, dtype=bool)
    brain[0] = False
    found = lookalike_voxels(flair, reference, brain, spacing_mm=1.5)
    assert [15, 15, 15] in found.tolist()
    assert not {(6, 6, 6), (8, 6, 6)} & {tuple(one) for one in found.tolist()}
    assert (found[:, 0] > 0).all()
    assert abs(len(found) / brain.sum() - 0.02) < 0.002
    empty = lookalike_voxels(flair, reference, np.zeros_like(brain), spacing_mm=1.5)
    assert empty.shape == (0, 3)


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


def test_a_sequence_that_the_scan_lacks_is_missing_beyond_its_grid_as_well(tmp_path: Path) -> None:
    scan = write_scan(tmp_path, 0, lesion=False, speck=True)
    channels = np.load(scan.folder / "channels.npy")
    channels[1] = MISSING_SEQUENCE_Z
    np.save(scan.folder / "channels.npy", channels)
    changed = NO_AUGMENTATION.model_copy(
        update={"bias_field": 1.0, "bias_field_coefficient": 0.5, "noise": 1.0, "noise_std": 0.5}
    )
    # The speck lies in a corner: its patches stick out of the scan.
    patches = dataset([scan], augmentation=changed)
    for number in range(5):
        flair, t1w = patches[number]["channels"]
        assert (flair == BACKGROUND_Z).any()
        assert (t1w == MISSING_SEQUENCE_Z).all()


def test_a_loading_process_is_sent_the_source_and_cuts_the_same(scans: list[TrainingScan]) -> None:
    for size_of in (None, PatchSchedule(PATCH, settings().trainer).size_voxels):
        source = LabelledScans(scans, patch=PATCH, seed=1, size_of=size_of)
        mixed = MixedSource(source, source, share=0.5)
        alone, sent = (
            PatchDataset(each, augmentation=PatchAugmentation(NO_AUGMENTATION, **BOTH), seed=1)
            for each in (mixed, pickle.loads(pickle.dumps(mixed)))
        )
        for number in range(4):
            for name, value in alone[number].items():
                torch.testing.assert_close(sent[number][name], value, rtol=0, atol=0)
