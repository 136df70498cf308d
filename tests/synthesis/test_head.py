from __future__ import annotations

import pytest
import torch
from tests.synthesis.conftest import FORMER

from lesion_dynamics.synthesis import head as drawing
from lesion_dynamics.synthesis.fields import Draws
from lesion_dynamics.synthesis.head import Head, draw_head
from lesion_dynamics.synthesis.lesion_maps import draw_lesions
from lesion_dynamics.synthesis.limits import GRID


def test_the_tissues_of_a_brain_are_fractions_of_one(head: Head) -> None:
    total = head.white + head.cortex + head.nuclei + head.fluid
    torch.testing.assert_close(total, head.brain.float(), atol=1e-5, rtol=0)
    assert min(float(part.min()) for part in (head.white, head.cortex, head.nuclei)) >= 0


def test_volumes_are_those_of_a_human_brain(head: Head) -> None:
    """White and cortical volumes of adults lie between 0.3 and 0.9 litres each."""
    litres = {name: float(getattr(head, name).sum()) / 1e6 for name in ("white", "cortex")}
    assert 0.3 < litres["white"] < 0.9
    assert 0.3 < litres["cortex"] < 0.9
    assert 0.01 < float(head.ventricle.sum()) / 1e6 < 0.12


def test_the_cortex_is_a_ribbon_between_white_matter_and_fluid(head: Head) -> None:
    """Of the voxels that are mostly cortex, nearly all lie within 5 mm of mostly white ones."""
    near_white = torch.nn.functional.max_pool3d(
        (head.white > 0.5).float()[None, None], 11, stride=1, padding=5
    )[0, 0]
    cortex = head.cortex > 0.5
    assert float(near_white[cortex].mean()) > 0.9


def test_lesions_lie_in_tissue_and_differ_between_draws(head: Head) -> None:
    volumes = []
    for seed in range(3):
        lesions = draw_lesions(Draws(seed), head, (), FORMER)
        assert lesions.label.shape == GRID
        assert not bool((lesions.label & ~head.brain).any())
        assert not bool((lesions.label & (head.fluid >= 0.5)).any())
        volumes.append(int(lesions.label.sum()))
    assert len(set(volumes)) == 3
    assert 50 < max(volumes) < 100_000


def test_some_heads_keep_the_blurred_folds_of_the_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their cortex is a slope and no ribbon: more voxels are part white, part grey. What is white
    in the maps, below the folds, is white.
    """
    mixed = {}
    for share in (0.0, 1.0):
        monkeypatch.setattr(drawing, "_BLURRED", share)
        found = draw_head(Draws(5), FORMER)
        mixed[share] = float(((found.white > 0.25) & (found.white < 0.75)).sum()) / 1e6
        assert 0.3 < float(found.white.sum()) / 1e6 < 0.9
        assert 0.3 < float(found.cortex.sum()) / 1e6 < 0.9
    assert mixed[1.0] > 1.1 * mixed[0.0]
    below = (found.depth_mm > 12) & (found.depth_mm < 20) & (found.white + found.cortex > 0.99)
    assert float(found.white[below].median()) > 0.99
