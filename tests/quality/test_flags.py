"""Flags: a planted outlier is found, on the bad side only, and small cohorts are not judged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.quality.catalogue import measures_of
from lesion_dynamics.quality.flags import with_flags
from lesion_dynamics.settings.quality import QualitySettings

MEASURES = measures_of(("FLAIR",))
SETTINGS = QualitySettings(
    robust_z_limit=5.0, fewest_scans=10, brain_at_edge_limit_mm2=1000, missing_slices_limit=0
)


def cohort(count: int = 40, scanners: tuple[str, ...] = ("a",)) -> pd.DataFrame:
    random = np.random.default_rng(8)
    table = pd.DataFrame({m.name: random.normal(50, 2, count) for m in MEASURES})
    table["flair_missing_slices"] = 0.0
    table.insert(0, "scanner", [scanners[i % len(scanners)] for i in range(count)])
    return table


def flags(table: pd.DataFrame, **changed: float) -> pd.DataFrame:
    return with_flags(table, MEASURES, settings=SETTINGS.model_copy(update=changed))


def test_a_clean_cohort_has_no_flag_and_a_planted_outlier_has_one_with_its_numbers() -> None:
    table = cohort()
    assert (flags(table)["flag_count"] == 0).all()
    table.loc[7, "flair_signal_to_noise"] = 20.0
    found = flags(table)
    assert found["flag_count"].tolist() == [int(i == 7) for i in range(40)]
    values = table["flair_signal_to_noise"]
    median = values.median()
    z = (median - 20) / (1.4826 * (values - median).abs().median())
    said = f"flair_signal_to_noise 20 (others {median:.4g}, robust z {z:.1f})"
    assert found.loc[7, "flags"] == said
    assert found.loc[7, "compared_with"] == "scanner a"


def test_only_the_bad_side_is_flagged_and_the_worst_comes_first() -> None:
    table = cohort()
    table.loc[3, ["flair_signal_to_noise", "flair_ringing_percent"]] = [90.0, 10.0]  # both good
    table.loc[4, ["flair_signal_to_noise", "flair_ringing_percent"]] = [30.0, 200.0]
    table.loc[5, "flair_missing_slices"] = 2
    table.loc[5, "flair_signal_to_noise"] = 5.0
    found = flags(table)
    assert found.loc[3, "flag_count"] == 0
    assert [s.split()[0] for s in found.loc[4, "flags"].split("; ")] == [
        "flair_ringing_percent",
        "flair_signal_to_noise",
    ]
    assert found.loc[5, "flags"].startswith("flair_missing_slices 2 (limit 0); flair_signal")


def test_a_cohort_too_small_is_judged_by_absolute_limits_alone() -> None:
    table = cohort(9)
    table.loc[2, "flair_signal_to_noise"] = 0.1
    table.loc[3, "brain_at_edge_mm2"] = 1500.0
    found = flags(table)
    assert found["flag_count"].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert found.loc[3, "flags"] == "brain_at_edge_mm2 1500 (limit 1000)"
    assert (found["compared_with"] == "n/a").all()


def test_a_scan_is_compared_with_its_own_scanner_where_there_are_enough() -> None:
    table = cohort(40, scanners=("a", "a", "a", "b"))
    noisy = table["scanner"] == "b"
    table.loc[noisy, "flair_signal_to_noise"] -= 30  # an older scanner, all alike
    assert (flags(table)["flag_count"] == 0).all()
    table.loc[3, "flair_signal_to_noise"] = 50.0 - 45  # bad even for it
    assert flags(table).loc[3, "flag_count"] == 1
    # With too few of it, they are compared with everybody.
    whole = flags(table, fewest_scans=12)
    assert set(whole.loc[noisy, "compared_with"]) == {"cohort"}
    assert (whole.loc[noisy, "flag_count"] > 0).all()


def test_identical_scans_flag_no_rounding_and_undefined_measures_nothing() -> None:
    table = cohort()
    for measure in MEASURES:
        table[measure.name] = 40.0
    table["flair_missing_slices"] = 0.0
    table.loc[0, "flair_signal_to_noise"] = 39.9
    table["flair_ghosting_percent"] = np.nan
    assert (flags(table)["flag_count"] == 0).all()


@pytest.mark.parametrize(
    "changed",
    [
        {"robust_z_limit": 20.0},
        {"fewest_scans": 41},
        {"brain_at_edge_limit_mm2": 40.0},
        {"missing_slices_limit": 3},
    ],
)
def test_every_limit_is_alive(changed: dict[str, float]) -> None:
    table = cohort()
    table.loc[1, "flair_signal_to_noise"] = 30.0
    table.loc[2, "flair_missing_slices"] = 2.0
    assert flags(table)["flag_count"].tolist() != flags(table, **changed)["flag_count"].tolist()
