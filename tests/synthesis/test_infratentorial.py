"""Brainstem and cerebellum: where they lie, what is drawn there, and that the rest stays."""

from __future__ import annotations

import pytest
import torch
from tests.synthesis.conftest import FORMER, TODAY

from lesion_dynamics.synthesis.fields import Draws
from lesion_dynamics.synthesis.head import Head, draw_head, template_maps
from lesion_dynamics.synthesis.infratentorial import brainstem_places, cerebellum_places
from lesion_dynamics.synthesis.lesion_maps import LesionMaps, draw_lesions

PONS, MIDBRAIN, MEDULLA = (4, -27, -32), (6, -24, -12), (2, -42, -56)
THALAMUS, TEMPORAL_LOBE = (10, -18, 8), (45, -20, -28)
CEREBELLAR_HEMISPHERE, OCCIPITAL_POLE = (30, -65, -35), (10, -95, 0)


def at(place: tuple[float, float, float]) -> tuple[float, float]:
    x, y, z = (torch.tensor([float(value)]) for value in place)
    return float(brainstem_places(x, y, z)), float(cerebellum_places(y, z))


def infratentorial(head: Head) -> torch.Tensor:
    return torch.maximum(head.brainstem, head.cerebellum) > 0.9


@pytest.fixture(scope="module")
def today() -> Head:
    """The head of the fixture ``head``, drawn with a brainstem of its own."""
    return draw_head(Draws(3), TODAY)


@pytest.mark.parametrize("place", [PONS, MIDBRAIN, MEDULLA])
def test_the_brainstem_lies_where_atlases_have_it(place: tuple[float, float, float]) -> None:
    assert at(place)[0] > 0.9
    assert at((-place[0], place[1], place[2])) == at(place)


def test_other_places_are_neither() -> None:
    for place in (THALAMUS, TEMPORAL_LOBE, OCCIPITAL_POLE):
        assert max(at(place)) < 0.1
    assert at(CEREBELLAR_HEMISPHERE)[0] < 0.1
    assert at(CEREBELLAR_HEMISPHERE)[1] > 0.9


def test_the_brainstem_has_the_volume_of_an_adult_s() -> None:
    """20 to 40 ml with the cerebellar peduncles, of what is brain in the template."""
    maps = template_maps()
    tissue, brainstem = maps.stack[0] + maps.stack[1], maps.stack[9]
    assert 20_000 < float((tissue * brainstem).sum()) < 45_000


def test_an_even_brainstem_has_no_cortex_and_the_rest_of_the_head_stays(
    head: Head, today: Head
) -> None:
    inside = (head.brainstem > 0.98) & head.brain & (head.fluid < 0.2)
    assert float(head.cortex[inside].mean()) > 0.2
    assert float(today.cortex[inside].mean()) < 0.02
    # What is grey is one share of the tissue, the same everywhere.
    share = today.nuclei[inside] / (today.nuclei + today.white)[inside]
    assert float(share.std()) < 0.02
    away = head.brainstem < 1e-6
    for name in ("white", "cortex", "nuclei", "fluid"):
        torch.testing.assert_close(
            getattr(today, name)[away], getattr(head, name)[away], atol=1e-5, rtol=0
        )
    assert bool((today.brain == head.brain).all())


def drawn(head: Head, seed: int, **settings: float) -> LesionMaps:
    chosen = FORMER.model_copy(update=settings)
    return draw_lesions(Draws(seed), head, (), chosen)


def test_lesions_of_the_infratentorial_come_beside_the_others(today: Head) -> None:
    place, met = infratentorial(today), []
    for seed in range(6):
        without = drawn(today, seed).label
        if not bool(without.any()):
            continue
        both = drawn(today, seed, infratentorial_lesions=1.0).label
        added = both & ~without
        assert not bool((without & ~both).any())
        assert not bool((added & ~(torch.maximum(today.brainstem, today.cerebellum) > 0.2)).any())
        met.append(int((both & place).sum()) > int((without & place).sum()))
    assert len(met) >= 4
    assert all(met)


def test_even_lesions_are_bright_or_faint_as_wholes(today: Head) -> None:
    """Within 12 mm brightness differs by a part of what it differs by across the head."""
    ratios = {}
    for even in (0.0, 1.0):
        brightness = drawn(today, 1, even_lesions=even).brightness
        near = (brightness[12:] - brightness[:-12])[today.brain[12:] & today.brain[:-12]]
        ratios[even] = float(near.std() / brightness[today.brain].std())
    assert ratios[0.0] > 1.2
    assert ratios[1.0] < 0.9


def test_without_these_settings_a_head_is_what_it_was_before_there_were_any(head: Head) -> None:
    """Figures of the code before them: former recipes draw what they drew."""
    before = {"white": 543_225, "cortex": 527_948, "nuclei": 104_910, "fluid": 271_367}
    for name, volume in before.items():
        assert float(getattr(head, name).sum()) == pytest.approx(volume, rel=1e-4)
    lesions = drawn(head, 1)
    assert int(lesions.label.sum()) == pytest.approx(6681, rel=5e-3)
    assert float(lesions.brightness.mean()) == pytest.approx(1.03046, abs=1e-4)
