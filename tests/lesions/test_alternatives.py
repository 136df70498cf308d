import numpy as np
import pytest

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.alternatives import measure_alternatives, other_operating_points
from lesion_dynamics.lesions.measurement import measure
from lesion_dynamics.lesions.operating_point import lesion_mask
from lesion_dynamics.settings.operating_point import OperatingPoint


def probability(seed: int = 1) -> Image:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    blurred = gaussian_filter(rng.standard_normal((30, 26, 22)), 1.2)
    blurred[:5] = -1
    voxels = np.clip(blurred / blurred.max(), 0, 1).astype(np.float32)
    return Image(voxels, np.diag([1.2, 0.9, 1.5, 1.0]))


def point(threshold: float = 0.4, minimum: float = 9.0) -> OperatingPoint:
    return OperatingPoint(
        probability_threshold=threshold, minimum_lesion_volume_mm3=minimum, connectivity=26
    )


def test_each_alternative_is_what_its_mask_measures():
    image = probability()
    rows = measure_alternatives(image, point())
    assert len(rows) == 8
    volumes = set()
    for row in rows:
        other = OperatingPoint(**{k: row[k] for k in OperatingPoint.model_fields})
        mask = lesion_mask(
            image.voxels, voxel_volume_mm3=image.voxel_volume_mm3, operating_point=other
        )
        expected = measure(image.with_voxels(mask), connectivity=26)
        assert row["lesion_volume_mm3"] == pytest.approx(expected.lesion_volume_mm3)
        assert row["lesion_count"] == expected.lesion_count
        assert row["largest_lesion_volume_mm3"] == pytest.approx(expected.largest_lesion_volume_mm3)
        volumes.add(row["lesion_volume_mm3"])
    assert len(volumes) >= 6


def test_an_empty_probability_measures_nothing_at_every_point():
    image = probability().with_voxels(np.zeros((30, 26, 22), dtype=np.float32))
    rows = measure_alternatives(image, point())
    assert {row["lesion_volume_mm3"] for row in rows} == {0.0}
    assert {row["lesion_count"] for row in rows} == {0}


def test_one_choice_differs_and_thresholds_stay_between_0_and_1():
    points = other_operating_points(point(0.9, 3.0))
    assert point(0.9, 3.0) not in points
    assert [p.probability_threshold for p in points[:2]] == [0.7, 0.8]
    assert all(
        (p.probability_threshold == 0.9) != (p.minimum_lesion_volume_mm3 == 3.0) for p in points
    )
    assert [p.minimum_lesion_volume_mm3 for p in points[2:]] == [0.0, 9.0, 14.0, 27.0]
