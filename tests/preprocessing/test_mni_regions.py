from __future__ import annotations

import numpy as np
import pytest

from lesion_dynamics.imaging.template_maps import ORIGIN_MM, read_template_map, ventricle_region
from lesion_dynamics.preprocessing.mni_regions import region_maps


@pytest.mark.parametrize(
    ("where", "x", "y", "z", "infratentorial", "near_ventricle"),
    [
        ("cerebellar hemisphere", 28, -62, -36, True, False),
        ("cerebellar peduncle", 16, -48, -34, True, False),
        ("pons", 0, -24, -32, True, False),
        ("medulla", 0, -40, -54, True, False),
        ("temporal pole", 42, 8, -32, False, False),
        ("occipital lobe above the tentorium", 26, -86, -4, False, False),
        ("thalamus", 12, -20, 8, False, False),
        ("wall of the lateral ventricle's body", 16, 2, 24, False, True),
        ("splenium's side of the atrium", 26, -46, 14, False, True),
        ("centrum semiovale", 26, -16, 38, False, False),
    ],
)
def test_places_known_from_anatomy_lie_in_their_region_on_both_sides(
    where: str, x: int, y: int, z: int, infratentorial: bool, near_ventricle: bool
) -> None:
    maps = region_maps()
    for side in (x, -x):
        index = tuple(int(v) for v in np.array([side, y, z]) - ORIGIN_MM)
        assert maps.brain[index], where
        assert maps.infratentorial[index] == infratentorial, where
        assert maps.near_ventricle[index] == near_ventricle, where


def test_cortex_is_near_its_white_matter_and_far_from_the_deep() -> None:
    maps = region_maps()
    grey = read_template_map("gm")
    shell = (grey > 0.6) & ~maps.infratentorial
    lateral = np.abs(np.arange(197) + ORIGIN_MM[0]) > 45
    assert maps.near_cortex[shell & lateral[:, None, None]].all()
    deep = tuple(int(v) for v in np.array([26, -16, 34]) - ORIGIN_MM)
    assert not maps.near_cortex[deep]
    assert not (maps.near_cortex & maps.infratentorial).any()


def test_the_volumes_are_those_of_a_brain() -> None:
    maps = region_maps()
    assert 160 < maps.infratentorial.sum() / 1000 < 280  # ml, with the fluid between
    assert 20 < maps.near_ventricle.sum() / 1000 < 70


def test_the_ventricles_lie_in_boxes_that_can_be_asked_for_one_by_one() -> None:
    shape = (197, 233, 189)
    every = ventricle_region(shape, ORIGIN_MM)
    third = ventricle_region(shape, ORIGIN_MM, ventricles=("third",))
    lateral = ventricle_region(shape, ORIGIN_MM, ventricles=("lateral",))
    fourth = ventricle_region(shape, ORIGIN_MM, ventricles=("fourth",))
    assert np.array_equal(every, third | lateral | fourth)
    index = tuple(int(v) for v in np.array([0, -42, -30]) - ORIGIN_MM)
    assert fourth[index]
    assert not lateral[index]
