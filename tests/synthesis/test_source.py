from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import composed
from tests.synthesis.conftest import FORMER, SEED, TODAY

from lesion_dynamics.errors import CohortError, ConfigurationError
from lesion_dynamics.settings.preprocessing import IntensitySettings
from lesion_dynamics.settings.synthesis import SynthesisSettings
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.synthesis.head_store import head_name, load_head, store_head
from lesion_dynamics.synthesis.lesion_shapes import load_shapes, shape_files
from lesion_dynamics.synthesis.limits import require_synthesisable
from lesion_dynamics.synthesis.source import MixedSource, SyntheticScans
from lesion_dynamics.synthesis.tissues import PLACES

ORIGIN_MM = (-78.0, -113.0, -72.0)


INTENSITY = IntensitySettings(lower_percentile=20.0, upper_percentile=80.0)


def source(
    head_file: Path, *sequences: str, intensity: IntensitySettings = INTENSITY
) -> SyntheticScans:
    return SyntheticScans(
        [head_file],
        sequences=sequences,
        size_of=lambda number: 48 if number >= 100 else 32,
        lesion_fraction=1.0,
        intensity=intensity,
    )


def test_a_patch_depends_on_its_draws_alone(head_file: Path) -> None:
    both = source(head_file, "FLAIR", "T1w")
    first = both.patch(0, np.random.default_rng([1, 5]))
    again = both.patch(7, np.random.default_rng([1, 5]))
    other = both.patch(0, np.random.default_rng([1, 6]))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert np.abs(first[0] - other[0]).max() > 0.1
    assert both.patch(100, np.random.default_rng(1))[0].shape == (2, 48, 48, 48)


def test_sequences_come_in_the_order_asked_for(head_file: Path) -> None:
    flair_first, _ = source(head_file, "FLAIR", "T1w").patch(0, np.random.default_rng(3))
    t1w_first, _ = source(head_file, "T1w", "FLAIR").patch(0, np.random.default_rng(3))
    np.testing.assert_array_equal(flair_first, t1w_first[::-1])
    alone, _ = source(head_file, "FLAIR").patch(0, np.random.default_rng(3))
    np.testing.assert_array_equal(alone, flair_first[:1])


def test_channels_are_in_range_and_lesions_are_bright(head_file: Path) -> None:
    excess = []
    for number in range(12):
        channels, reference = source(head_file, "FLAIR").patch(
            number, np.random.default_rng([9, number])
        )
        assert channels.shape == (1, 32, 32, 32)
        assert channels.min() >= -4.0
        assert channels.max() <= 8.0
        assert set(np.unique(reference)) <= {0.0, 1.0}
        inside = reference > 0
        if inside.sum() > 20:
            brain = (channels > -4.0) & ~inside
            excess.append(float(channels[inside].mean() - channels[brain].mean()))
    assert len(excess) >= 4
    assert np.median(excess) > 0.5


def test_a_mixture_keeps_its_share() -> None:
    class Constant:
        def __init__(self, value: float) -> None:
            self.value = value

        def patch(self, number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
            return np.full((1, 1, 1, 1), self.value), np.zeros((1, 1, 1, 1))

    mixed = MixedSource(Constant(1.0), Constant(0.0), share=0.3)
    rng = np.random.default_rng(0)
    drawn = [float(mixed.patch(n, rng)[0].item()) for n in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.3, abs=0.03)


def test_a_stored_head_is_found_again_and_named_by_what_made_it(head_file: Path) -> None:
    stamp = head_file.stat().st_mtime_ns
    again = store_head(0, seed=SEED, shape_files=(), settings=FORMER, folder=head_file.parent)
    assert again == head_file
    assert head_file.stat().st_mtime_ns == stamp
    names = {
        head_name(0, seed=SEED, shape_files=(), settings=FORMER),
        head_name(0, seed=SEED + 1, shape_files=(), settings=FORMER),
        head_name(1, seed=SEED, shape_files=(), settings=FORMER),
        head_name(0, seed=SEED, shape_files=(), settings=TODAY),
    }
    assert len(names) == 4
    assert head_file.name in names


def test_places_to_cut_lie_where_they_say(head_file: Path) -> None:
    head = load_head(head_file)
    brain = head.maps[PLACES["brain"]]
    assert bool((brain[tuple(head.brain_centres.T)] == 255).all())
    label = head.maps[PLACES["lesion_label"]]
    assert len(head.lesion_centres) > 0
    assert bool((label[tuple(head.lesion_centres.T)] == 255).all())


def test_patches_are_normalised_by_the_segmenter_s_own_settings(head_file: Path) -> None:
    wide = IntensitySettings(lower_percentile=1.0, upper_percentile=99.0)
    usual, _ = source(head_file, "FLAIR").patch(0, np.random.default_rng(3))
    other, _ = source(head_file, "FLAIR", intensity=wide).patch(0, np.random.default_rng(3))
    inside = (usual > -4) & (usual < 8) & (other > -4) & (other < 8)
    # The same intensities in other units: a straight line, and not that of equal units.
    slope, offset = np.polyfit(usual[inside], other[inside], 1)
    np.testing.assert_allclose(other[inside], slope * usual[inside] + offset, atol=1e-3)
    assert abs(slope - 1) > 0.02


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["segmenter.spacing_mm=1.5"], "spacing_mm"),
        (["segmenter.sequences=[FLAIR,T2w]", "segmenter.optional_sequences=[]"], "T2w"),
        (["patch.size_voxels=152"], "152"),
        (["patch.final_fraction=0.5", "patch.final_size_voxels=152"], "final_size_voxels"),
        (["patch.lookalike_fraction=0.1"], "lookalike_fraction"),
        (["patch.lesion_size_power=0.5"], "lesion_size_power"),
    ],
)
def test_what_cannot_be_drawn_is_refused(overrides: list[str], words: str) -> None:
    values = composed("train", "segmenter.spacing_mm=1.0", "synthesis.share=1", *overrides)
    with pytest.raises(ConfigurationError, match=words):
        require_synthesisable(TrainSettings.model_validate(values))


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no lesion mask"):
        shape_files(SynthesisSettings(shapes=tmp_path))


@pytest.mark.real_data
def test_real_shapes_keep_their_volume_and_leave_out_whom_they_should() -> None:
    folder = Path(os.environ.get("OPEN_MS_DATA", "../shared/open_ms_data"))
    if not (folder / "cross_sectional").is_dir():
        pytest.skip("the open MS data are not there (OPEN_MS_DATA)")
    files = shape_files(SynthesisSettings(shapes=folder, left_out=("patient26",)))
    assert all("patient26" not in str(path) for path in files)
    one = next(path for path in files if path.parent.name == "patient02")
    # 1,381 mm3 in upstream's mask, all of it inside the template's grid.
    assert int(load_shapes((one,), ORIGIN_MM).sum()) == 1381


def test_a_patient_that_is_to_be_left_out_but_is_not_there_is_named(tmp_path: Path) -> None:
    for patient in ("patient07", "patient26"):
        folder = tmp_path / "cross_sectional/MNI" / patient
        folder.mkdir(parents=True)
        (folder / f"GOLD_STANDARD_{patient}.nii.gz").touch()
    kept = shape_files(SynthesisSettings(shapes=tmp_path, left_out=("patient26",)))
    assert [path.parent.name for path in kept] == ["patient07"]
    with pytest.raises(CohortError, match=r"patient_26.*patient07, patient26"):
        shape_files(SynthesisSettings(shapes=tmp_path, left_out=("patient_26",)))
