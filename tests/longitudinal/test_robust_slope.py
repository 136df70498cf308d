import pandas as pd
import pytest

from lesion_dynamics.longitudinal.robust_slope import robust_slopes


def test_one_bad_scan_of_five_cannot_carry_the_slope_away():
    scans = pd.DataFrame(
        {"participant_id": "sub-01", "stretch": 1, "years": [0.0, 1, 2, 3, 4],
         "lesion_volume_mm3": [100.0, 110, 120, 9000, 140]}
    )  # fmt: skip
    # Ten pairs: six of slope 10, four with the bad scan.
    assert robust_slopes(scans)["sub-01"] == pytest.approx(10)


def test_pairs_are_formed_within_a_stretch_only():
    scans = pd.DataFrame(
        {"participant_id": "sub-01", "stretch": [1, 1, 2, 2], "years": [0.0, 1, 0, 2],
         "lesion_volume_mm3": [100.0, 120, 5000, 5080]}
    )  # fmt: skip
    assert robust_slopes(scans)["sub-01"] == pytest.approx((20 + 40) / 2)
