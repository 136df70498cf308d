"""Learning-rate schedules and the moving average of the weights, in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from lesion_dynamics.segmenter.schedules import learning_rate_share
from lesion_dynamics.segmenter.weight_average import WeightAverage, mix_in
from lesion_dynamics.settings.training import OptimiserSettings


def shares(
    schedule: str, *, power: float = 0.9, warmup: float = 0.2, decay: float = 0.2
) -> list[float]:
    settings = OptimiserSettings.model_validate(
        {
            "learning_rate": 1.0,
            "weight_decay": 0.0,
            "schedule": schedule,
            "polynomial_power": power,
            "decay_fraction": decay,
            "warmup_fraction": warmup,
            "gradient_clip_norm": 1.0,
        }
    )
    return [learning_rate_share(step, steps=10, settings=settings) for step in range(11)]


def test_every_schedule_warms_up_linearly_and_ends_where_it_says() -> None:
    ends = {"cosine": 0.0, "polynomial": 0.0, "constant": 1.0, "trapezoid": 0.0}
    for schedule, last in ends.items():
        found = shares(schedule)
        assert found[:3] == pytest.approx([0.5, 1.0, 1.0])
        assert found[10] == pytest.approx(last, abs=1e-12)


def test_halfway_each_schedule_has_its_own_height() -> None:
    assert shares("cosine")[6] == pytest.approx(0.5)
    assert shares("cosine")[4] == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert shares("polynomial")[6] == pytest.approx(0.5**0.9)
    assert shares("polynomial", power=2.0)[6] == pytest.approx(0.25)
    assert shares("constant")[6] == 1.0
    assert shares("trapezoid", decay=0.4)[2:] == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])


def test_a_trapezoid_of_another_length_begins_alike() -> None:
    def of_length(steps: int) -> list[float]:
        settings = OptimiserSettings.model_validate(
            {
                "learning_rate": 1.0, "weight_decay": 0.0, "schedule": "trapezoid",
                "decay_fraction": 20 / steps, "warmup_fraction": 10 / steps,
                "gradient_clip_norm": 1.0,
            }
        )  # fmt: skip
        return [learning_rate_share(n, steps=steps, settings=settings) for n in range(steps)]

    assert of_length(100)[:80] == of_length(150)[:80]
    assert of_length(100)[80:] == of_length(150)[130:]


def moved(network: torch.nn.Module, value: float) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)


def test_the_average_follows_its_recursion() -> None:
    network = torch.nn.Linear(2, 1)
    moved(network, 0.0)
    average = WeightAverage(network, decay=0.9)
    expected = 0.0
    for step in range(100):
        moved(network, float(step))
        average.update(network)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    with average.in_place_of(network):
        assert float(network.weight.detach()[0, 0]) == pytest.approx(expected, rel=1e-5)
    assert float(network.weight.detach()[0, 0]) == 99.0


def test_the_average_goes_on_from_its_state_bit_for_bit() -> None:
    network = torch.nn.Linear(3, 3)
    whole = WeightAverage(network, decay=0.99)
    for step in range(5):
        moved(network, step * 0.37)
        whole.update(network)
    again = WeightAverage(network, decay=0.99)
    again.load(whole.state())
    for one in (whole, again):
        moved(network, 3.3)
        one.update(network)
    first, second = (one.state()["average"]["weight"] for one in (whole, again))
    assert torch.equal(first, second)


def test_mixing_takes_its_share_of_weights_and_kept_statistics_and_no_counter() -> None:
    network, other = (torch.nn.BatchNorm1d(2) for _ in range(2))
    with torch.no_grad():
        network.weight.copy_(torch.tensor([1.0, 2.0]))
        other.weight.copy_(torch.tensor([5.0, -2.0]))
        other.running_var.mul_(9.0)
        other.num_batches_tracked += 7
    mix_in(network, other, share=0.25)
    assert network.weight.tolist() == [2.0, 1.0]
    assert network.running_var.tolist() == [3.0, 3.0]
    assert network.num_batches_tracked == 0
    assert other.weight.tolist() == [5.0, -2.0]
