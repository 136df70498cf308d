"""The figures of benchmarks/baseline_on_phantom.py against a table done by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from baseline_on_phantom import compared, intervals_apart


def test_bias_and_variation_of_a_table_done_by_hand() -> None:
    rows = [
        # Two scans a participant, measured and true.
        ("MS", "a", (2200, 1800), 1000), ("MS", "b", (3300, 3300), 3000),
        ("NMOSD", "c", (500, 700), 500), ("NMOSD", "d", (30, 10), 0),
    ]  # fmt: skip
    table = pd.DataFrame(
        [
            {"diagnosis": diagnosis, "participant_id": who, "lesion_volume_mm3": float(one),
             "lesion_volume_mm3_true": float(true)}
            for diagnosis, who, measured, true in rows for one in measured
        ]
    )  # fmt: skip
    found = compared(table)
    ms, nmosd = found["bias"]["MS"], found["bias"]["NMOSD"]
    assert ms["bias_in_sum_percent"] == pytest.approx(100 * (5300 / 4000 - 1))
    assert ms["median_bias_percent"] == pytest.approx(100 * ((2.0 + 1.1) / 2 - 1))
    assert nmosd["bias_in_sum_percent"] == pytest.approx(20.0)
    assert (ms["lesion_free_participants"], nmosd["lesion_free_participants"]) == (0, 1)
    assert nmosd["mean_false_mm3_lesion_free"] == pytest.approx(20.0)
    assert ms["largest_excess_mm3"] == pytest.approx(1000.0)
    assert found["bias"]["bias_in_sum_percent_of_MS_less_NMOSD"] == pytest.approx(12.5)
    # Of two scans the standard deviation is their difference over the root of two.
    rescans = found["rescans"]
    assert rescans["participants_above_1ml"] == 2
    own = [(400 / 2**0.5) / 2000, 0.0]
    mean_square = sum(one**2 for one in own) / 2
    assert rescans["coefficient_of_variation_above_1ml_percent"] == pytest.approx(
        100 * mean_square**0.5
    )
    within = (400**2 / 2 + 0 + 200**2 / 2 + 20**2 / 2) / 4
    assert rescans["within_participant_sd_mm3"] == pytest.approx(within**0.5)


def test_the_interval_of_the_difference_is_that_of_two_means() -> None:
    """With equal true volumes the bias in sum is a mean: its interval has a closed form."""
    volumes = {}
    for name, middle, spread, count in (("MS", 0.8, 0.3, 60), ("NMOSD", 0.9, 0.2, 40)):
        ratios = norm.ppf((np.arange(count) + 0.5) / count, loc=middle, scale=spread)
        volumes[name] = pd.DataFrame(
            {"lesion_volume_mm3": 500 * ratios, "lesion_volume_mm3_true": 500.0}
        )
    # Without lesions there is no share, and they change nothing.
    volumes["NMOSD"].loc[len(volumes["NMOSD"])] = [30.0, 0.0]
    low, high = intervals_apart(volumes["MS"], volumes["NMOSD"])[
        "bias_in_sum_percent_of_MS_less_NMOSD_interval"
    ]
    half = 196 * (0.3**2 / 60 + 0.2**2 / 40) ** 0.5
    assert low == pytest.approx(-10 - half, abs=0.5)
    assert high == pytest.approx(-10 + half, abs=0.5)
