import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.remission_stretches import longest_stretch, remission_stretches
from lesion_dynamics.longitudinal.robust_slope import robust_slopes

YEAR = 365.25


def stretches(volumes: list[float], remission: list[bool]) -> pd.DataFrame:
    """One scan a year of sub-01; ``remission`` of the intervals between them."""
    names = [f"ses-{i}" for i in range(len(volumes))]
    sessions = pd.DataFrame(
        {"participant_id": "sub-01", "session_id": names, "scanner": "scanner1",
         "days_from_baseline": np.arange(len(names)) * YEAR}
    )  # fmt: skip
    intervals = pd.DataFrame(
        {"participant_id": "sub-01", "start_session_id": names[:-1], "end_session_id": names[1:],
         "start_days": sessions["days_from_baseline"][:-1].to_numpy(),
         "end_days": sessions["days_from_baseline"][1:].to_numpy(), "is_remission": remission}
    )  # fmt: skip
    return remission_stretches(
        intervals,
        sessions.assign(lesion_volume_mm3=volumes),
        sessions.drop(columns="scanner").assign(scanner="a"),
    )


def test_an_attack_cuts_a_participant_into_two_stretches_that_both_count_from_zero():
    found = stretches([1.0, 2, 90, 91, 92], [True, False, True, True])
    assert found["session_id"].tolist() == ["ses-0", "ses-1", "ses-2", "ses-3", "ses-4"]
    assert found["stretch"].nunique() == 2
    assert found["years"].tolist() == pytest.approx([0, 1, 0, 1, 2])
    assert longest_stretch(found)["session_id"].tolist() == ["ses-2", "ses-3", "ses-4"]


def test_of_equally_long_stretches_the_first_is_taken():
    found = longest_stretch(stretches([1.0, 2, 90, 91], [True, False, True]))
    assert found["session_id"].tolist() == ["ses-0", "ses-1"]


def test_nobody_in_remission_is_an_empty_table():
    assert stretches([1.0, 2], [False]).empty
    assert robust_slopes(stretches([1.0, 2], [False])).empty


def test_robust_slope_ignores_the_jump_of_an_attack_and_one_bad_scan():
    # 10 a year in both stretches; the attack adds 500; one scan in the second is 300 too high.
    found = robust_slopes(stretches([0.0, 10, 510, 520, 830, 540, 550], [True, False] + [True] * 4))
    assert found["sub-01"] == pytest.approx(10)


def test_robust_slope_of_two_scans_is_their_slope():
    assert robust_slopes(stretches([5.0, 12], [True]))["sub-01"] == pytest.approx(7)
    assert str(robust_slopes(stretches([5.0, 5], [True]))["sub-01"]) == "0.0"
