import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.longitudinal.influence import most_influential
from lesion_dynamics.longitudinal.measurements import check_measurements
from lesion_dynamics.longitudinal.robustness import DECLARED, robustness
from lesion_dynamics.longitudinal.same_scans import same_scans
from lesion_dynamics.longitudinal.version_study import VersionInputs
from lesion_dynamics.report.specification_curve import draw_specification_curve
from lesion_dynamics.settings.study import StudySettings

YEAR = 365.25
N = 12


def inputs(*, scanner: tuple[str | None, ...] = ("a", "a", "b"), brain: float | None = 1e6):
    rng = np.random.default_rng(0)
    people, sessions, volumes = [], [], []
    for i in range(2 * N):
        diagnosis, who = ("MS", f"sub-{i:02d}") if i < N else ("NMOSD", f"sub-{i:02d}")
        people.append((who, diagnosis, 40.0, "F", "a"))
        slope = 200 + 10 * rng.normal() if i < N else 20 + 5 * rng.normal()
        size = None if brain is None else brain * (2 if i % 2 else 1)
        for s in range(3):
            sessions.append((who, f"ses-{s}", s * YEAR, scanner[s]))
            volumes.append((who, f"ses-{s}", "m/1", 3000 + slope * s, size))
    tables = CohortTables(
        participants=pd.DataFrame(
            people, columns=["participant_id", "diagnosis", "age_years", "sex", "scanner"]
        ),
        sessions=pd.DataFrame(
            sessions, columns=["participant_id", "session_id", "days_from_baseline", "scanner"]
        ),
        attacks=pd.DataFrame({"participant_id": ["sub-00"], "days_from_baseline": [-100.0]}),
        attacks_recorded=True,
    )
    measured = check_measurements(
        pd.DataFrame(
            volumes,
            columns=["participant_id", "session_id", "model_version", "lesion_volume_mm3",
                     "brain_volume_mm3"],
        ),
        where="test",
    )  # fmt: skip
    return VersionInputs("m/1", measured, tables, same_scans(measured, tables.sessions))


def panel(own=None, *, others=None, **changed) -> pd.DataFrame:
    settings = StudySettings(name="test", robustness=changed)
    return robustness(own or inputs(), settings, others or {})


def line(table: pd.DataFrame, choice: str, diagnosis: str = "MS") -> pd.Series:
    return table[(table["choice"] == choice) & (table["diagnosis"] == diagnosis)].iloc[0]


def test_declared_line_comes_first_and_every_line_has_three_estimates():
    table = panel()
    assert table["choice"].iloc[0] == DECLARED
    assert set(table.groupby(["choice", "line"]).size()) == {3}
    assert line(table, DECLARED)["estimate"] == pytest.approx(200, abs=10)
    assert line(table, DECLARED, "MS vs NMOSD")["estimate"] == pytest.approx(180, abs=12)


def test_a_longer_washout_loses_the_participant_with_the_attack():
    table = panel(washout_days=(180,))
    assert line(table, DECLARED)["n"] == N
    lost = line(panel(washout_days=(2000,)), "washout")
    assert lost["n"] == N - 1


def test_only_pairs_on_the_same_scanner_are_kept():
    table = panel()
    assert line(table, "scanner")["n"] == N
    none = line(panel(inputs(scanner=("a", "b", "a"))), "scanner")
    assert none["n"] == 0
    unknown = line(panel(inputs(scanner=(None, None, None))), "scanner")
    assert "no scanner is recorded" in unknown["note"]


def test_brain_normalisation_scales_to_the_median_brain():
    found = line(panel(), "volume")
    # Half of the brains are twice as large: scaled by 1.5 and 0.75.
    assert found["interval_low"] < 200 < found["interval_high"]
    assert found["estimate"] != pytest.approx(line(panel(), DECLARED)["estimate"], rel=1e-3)
    missing = line(panel(inputs(brain=None)), "volume")
    assert "no brain volume" in missing["note"]


def test_extremes_of_both_ends_are_left_out():
    assert line(panel(extremes_left_out=0.1), "participants")["n"] == N - 4


def test_the_participant_who_carries_the_difference_is_found():
    rates = pd.DataFrame(
        {"participant_id": list("abcdef"), "diagnosis": ["MS"] * 3 + ["NMOSD"] * 3,
         "rate": [10.0, 20, 500, 0, 1, 2]}
    )  # fmt: skip
    assert ("c", "raises") in most_influential(rates)
    assert most_influential(rates[:4]) == []


def test_another_operating_point_is_a_line_and_its_missing_scans_are_told():
    own = inputs()
    other = own.measurements.assign(lesion_volume_mm3=own.measurements["lesion_volume_mm3"] * 2)
    table = panel(own, others={"threshold 0.3": other[other["participant_id"] != "sub-00"]})
    found = line(table, "operating point")
    assert found["estimate"] == pytest.approx(400, abs=20)
    assert "3 scans fewer" in found["note"]
    strange = other.assign(model_version="else/1")
    assert (
        "no row of this model version"
        in line(panel(own, others={"x": strange}), "operating point")["note"]
    )


def test_the_curve_is_drawn_also_where_a_line_could_not_be_computed(tmp_path):
    table = panel(inputs(brain=None))
    files = draw_specification_curve(tmp_path, robustness=table, model_version="m/1")
    again = draw_specification_curve(tmp_path / "b", robustness=table, model_version="m/1")
    for one, other in zip(files, again, strict=True):
        assert one.stat().st_size > 10_000
        assert one.read_bytes() == other.read_bytes()
