"""New lesions and stable intervals of phantom participants, against the truth.

``benchmarks/lesion_tracking.py`` does the same on twenty participants at full resolution.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from tests.conftest import ROOT

from lesion_dynamics.lesions.tracking.interval import track_interval
from lesion_dynamics.phantom.disease_course import simulate_study
from lesion_dynamics.settings.lesions_in_time import TrackingRules
from lesion_dynamics.settings.phantom import PhantomSettings

sys.path.insert(0, str(ROOT / "benchmarks"))
from phantom_lesions import (
    MaskNoise,
    NewLesionScore,
    TrueParticipant,
    noisy_mask,
    tracking_grid,
    true_labels,
    true_participant,
)

SETTINGS = PhantomSettings(voxel_size_mm=1.5)
NUMBERS = (23, 45)
"""An MS and an NMOSD participant, with 6 and 9 new lesions of 30 mm3 or more."""


@pytest.fixture(scope="module", params=NUMBERS)
def participant(request: pytest.FixtureRequest) -> TrueParticipant:
    return true_participant(SETTINGS, simulate_study(SETTINGS)[request.param], sessions=2)


def test_new_lesions_are_found_and_stable_intervals_left_alone(
    participant: TrueParticipant,
) -> None:
    rng, grid, rules = np.random.default_rng(5), tracking_grid(participant), TrackingRules()
    first, second = participant.sessions[:2]
    masks = [noisy_mask(session, grid, rng, MaskNoise()) for session in (first, second)]
    again = noisy_mask(first, grid, rng, MaskNoise())
    score = NewLesionScore()
    interval = track_interval(masks[0], masks[1], affine=grid[1], rules=rules)
    score.add(interval, participant.volumes_mm3[:, 0], true_labels(second, grid))
    assert score.found >= 4
    assert score.f1 >= 0.8
    # The benchmark counts 40 of these: 0.1 false new lesions an interval are allowed.
    stable = track_interval(masks[0], again, affine=grid[1], rules=rules)
    assert sum(x.change == "new" for x in stable.lesions) <= 1
    large = [x for x in stable.lesions if min(x.earlier_volume_mm3, x.later_volume_mm3) > 100]
    assert large
    assert all(abs(np.log(x.later_volume_mm3 / x.earlier_volume_mm3)) < 0.7 for x in large)
