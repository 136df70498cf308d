"""Bright places of healthy brains: where they lie, and what they do to a scan."""

from __future__ import annotations

import math

import pytest
import torch

from lesion_dynamics.synthesis.bright_places import bright_places
from lesion_dynamics.synthesis.head import template_maps

HIPPOCAMPUS, CINGULATE, INSULA = (26, -20, -15), (5, 30, 24), (39, 0, 2)
CAPSULE = (22, -19, 6)
FRONTAL_WHITE, THALAMUS, OCCIPITAL = (26, 34, 18), (10, -14, 8), (14, -92, 0)


def at(place: tuple[float, float, float]) -> tuple[float, float]:
    limbic, tracts = bright_places(*(torch.tensor([float(value)]) for value in place))
    return float(limbic), float(tracts)


@pytest.mark.parametrize("place", [HIPPOCAMPUS, CINGULATE, INSULA])
def test_the_limbic_lobe_is_bright_on_both_sides(place: tuple[float, float, float]) -> None:
    limbic, _ = at(place)
    assert limbic > 0.9
    assert at((-place[0], place[1], place[2])) == at(place)


def test_other_places_are_not_bright() -> None:
    for place in (FRONTAL_WHITE, OCCIPITAL, THALAMUS):
        assert max(at(place)) < 0.12
    assert at(CAPSULE)[1] > 0.8


def test_the_edge_lies_where_the_radius_ends() -> None:
    # Above the middle of the piece from (30, -46, 14) to (28, -62, 14), whose radius is 8 mm.
    assert at((29, -54, 14 + 8))[1] == pytest.approx(0.5, abs=1e-3)
    assert at((29, -54, 14 + 10))[1] == pytest.approx(1 / (1 + math.e), abs=1e-3)
    # Beyond an end the distance is that to the end.
    beyond = 8 / math.sqrt(2**2 + 16**2)
    assert at((28 - 2 * beyond, -62 - 16 * beyond, 14))[1] == pytest.approx(0.5, abs=1e-3)


def test_the_limbic_grey_matter_of_the_template_is_marked() -> None:
    maps = template_maps()
    grey, limbic = maps.stack[1], maps.stack[7]
    share = float((limbic * (grey > 0.6)).sum() / (grey > 0.6).sum())
    # About a tenth of all grey matter belongs to the limbic lobe.
    assert 0.04 < share < 0.2
