import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.longitudinal.count_model import fit_counts, refit_counts
from lesion_dynamics.longitudinal.count_statistics import count_rows
from lesion_dynamics.longitudinal.new_lesions import NewLesions, new_lesions, read_new_lesions
from lesion_dynamics.settings.models import ModelSettings
from lesion_dynamics.settings.study import StudySettings

INTERVALS = pd.DataFrame(
    {"participant_id": "sub-01", "start_session_id": ["a", "b", "c"],
     "end_session_id": ["b", "c", "d"], "interval_years": [1.0, 1.0, 2.0],
     "is_remission": [True, False, True]}
)  # fmt: skip


def test_rises_of_the_count_over_remission_are_summed_and_falls_are_no_new_lesions():
    table = pd.DataFrame(
        {"participant_id": "sub-01", "session_id": list("abcd"), "lesion_count": [3, 5, 20, 18]}
    )
    found = new_lesions(INTERVALS, table.astype({"lesion_count": "Int64"}), None)
    assert found.counts.to_dict("records") == [
        {"participant_id": "sub-01", "new_lesions": 2, "years": 3.0}
    ]
    assert "lower bound" in found.note
    assert found.left_out == ""


def test_a_tracked_table_goes_before_the_counts():
    tracked = pd.DataFrame(
        {"participant_id": "sub-01", "start_session_id": ["a", "b"], "end_session_id": ["b", "c"],
         "model_version": "m/1", "new_lesion_count": [4, 9]}
    )  # fmt: skip
    found = new_lesions(INTERVALS, pd.DataFrame(), tracked)
    assert found.counts.to_dict("records") == [
        {"participant_id": "sub-01", "new_lesions": 4, "years": 1.0}
    ]
    assert found.note == ""
    assert found.left_out == (
        "1 remission interval without a count in the table of tracked lesions left out:"
        " sub-01 c to d"
    )


def table_of(columns: list[str], rows: list[tuple[object, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns)


def intervals(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Remission intervals of two years each: participant, start and end."""
    ends = ["participant_id", "start_session_id", "end_session_id"]
    return table_of(ends, list(rows)).assign(interval_years=2.0, is_remission=True)


def tracking(*rows: tuple[str, str, str, int]) -> pd.DataFrame:
    """Rows of a table of tracked lesions: participant, start, end and new lesions."""
    ends = ["participant_id", "start_session_id", "end_session_id", "new_lesion_count"]
    return table_of(ends, list(rows)).assign(model_version="m/1")


def counted_over(found: NewLesions) -> dict[str, tuple[int, float]]:
    return {
        row["participant_id"]: (row["new_lesions"], row["years"])
        for row in found.counts.to_dict("records")
    }


def test_tracked_intervals_that_tile_a_longer_one_are_summed():
    """Another model version measured b of one participant, and b and c of another one, in vain."""
    remission = intervals(("sub-1", "a", "c"), ("sub-1", "c", "d"), ("sub-2", "a", "d"))
    tracked = tracking(
        ("sub-1", "c", "d", 100), ("sub-1", "b", "c", 7), ("sub-1", "a", "b", 5),
        ("sub-2", "a", "b", 1), ("sub-2", "b", "c", 2), ("sub-2", "c", "d", 4),
        ("sub-2", "d", "e", 1000), ("sub-2", "z", "a", 1000),
    )  # fmt: skip
    found = new_lesions(remission, pd.DataFrame(), tracked)
    assert counted_over(found) == {"sub-1": (112, 4.0), "sub-2": (7, 2.0)}
    assert (found.note, found.left_out) == ("", "")


@pytest.mark.parametrize(
    "rows",
    [
        [("a", "b", 5)],  # an end is lacking
        [("b", "c", 5)],  # the start is lacking
        [("a", "b", 5), ("b2", "c", 7)],  # a gap
        [("a", "b", 5), ("b", "d", 7)],  # beyond the end
        [("a", "b", 5), ("b", "a", 7)],  # round in a circle
        [("a", "d", 5), ("d", "c", 7)],  # through a session that lies after the end
        [("c", "b", 5), ("b", "a", 7)],  # backwards
    ],
    ids=str,
)
def test_what_does_not_tile_an_interval_leaves_it_out_by_name(rows):
    remission = intervals(("sub-1", "a", "c"), ("sub-1", "c", "d"), ("sub-2", "a", "c"))
    tracked = tracking(
        ("sub-1", "c", "d", 3), *(("sub-1", *row) for row in rows), ("sub-2", "a", "c", 1)
    )
    found = new_lesions(remission, pd.DataFrame(), tracked)
    assert counted_over(found) == {"sub-1": (3, 2.0), "sub-2": (1, 2.0)}
    assert found.left_out == (
        "1 remission interval without a count in the table of tracked lesions left out:"
        " sub-1 a to c"
    )


def test_a_row_of_the_interval_itself_goes_before_rows_that_tile_it():
    remission = intervals(("sub-1", "a", "c"))
    rows = [("sub-1", "a", "b", 5), ("sub-1", "b", "c", 7), ("sub-1", "a", "c", 9)]
    for some in (rows, rows[::-1]):
        assert counted_over(new_lesions(remission, pd.DataFrame(), tracking(*some))) == {
            "sub-1": (9, 2.0)
        }


def test_participants_who_are_lost_are_named_in_every_row():
    """Also where nothing is fitted for want of them."""
    lost = [f"sub-{number:02d}" for number in range(12)]
    remission = intervals(*((who, "a", "b") for who in [*lost, "sub-x"]), ("sub-x", "b", "c"))
    found = new_lesions(remission, pd.DataFrame(), tracking(("sub-x", "a", "b", 1)))
    assert found.left_out == (
        "12 participants in remission without a count in the table of tracked lesions left out:"
        f" {', '.join(lost[:10])} and 2 more;"
        " 1 remission interval of others without a count in the table of tracked lesions left out:"
        " sub-x b to c"
    )
    people = pd.DataFrame({"participant_id": [*lost, "sub-x"], "diagnosis": "MS"})
    rows = list(count_rows(found, people, StudySettings(name="test")))
    assert all(row.estimate.note.startswith("not fitted: one diagnosis has") for row in rows)
    assert all(row.estimate.note.endswith(f"; {found.left_out}") for row in rows)


def test_scans_without_a_count_are_named_too():
    table = pd.DataFrame(
        {"participant_id": "sub-01", "session_id": list("abcd"), "lesion_count": [3, 5, None, 18]}
    )
    found = new_lesions(INTERVALS, table.astype({"lesion_count": "Int64"}), None)
    assert counted_over(found) == {"sub-01": (2, 1.0)}
    assert found.left_out == (
        "1 remission interval without a lesion_count at both ends left out: sub-01 c to d"
    )


def test_without_counts_it_is_said_that_it_cannot_be_computed():
    table = pd.DataFrame(
        {"participant_id": ["sub-01"], "session_id": ["a"], "lesion_count": [None]}
    )
    found = new_lesions(INTERVALS, table, None)
    assert found.counts.empty
    people = pd.DataFrame({"participant_id": ["sub-01"], "diagnosis": ["MS"], "age_years": [40.0]})
    rows = list(count_rows(found, people, StudySettings(name="test")))
    assert all(np.isnan(row.estimate.p_value) for row in rows)
    assert all("cannot be computed" in row.estimate.note for row in rows)


def test_rates_by_diagnosis_and_their_ratio_come_back():
    rng = np.random.default_rng(1)
    n = 200
    diagnosis = np.repeat(["MS", "NMOSD"], n)
    mean = np.repeat([2.0, 0.5], n) * 3
    names = [f"sub-{i:03d}" for i in range(2 * n)]
    counts = pd.DataFrame(
        {"participant_id": names, "new_lesions": rng.negative_binomial(2, 2 / (2 + mean)),
         "years": 3.0}
    )  # fmt: skip
    people = pd.DataFrame({"participant_id": names, "diagnosis": diagnosis})
    models = ModelSettings(covariates=(), bootstrap_draws=0)
    settings = StudySettings(name="test", models=models)
    new = NewLesions(counts, "tracked", left_out="sub-900 left out")
    rows = [row.estimate for row in count_rows(new, people, settings)]
    assert {row.note for row in rows} == {"tracked; sub-900 left out"}
    assert [row.estimate for row in rows] == pytest.approx([2, 0.5, 4], rel=0.2)
    assert rows[2].p_value < 1e-6
    assert rows[2].interval_low < 4 < rows[2].interval_high


def counted(n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ms = np.repeat([1.0, 0.0], n)
    years = rng.uniform(1, 5, 2 * n)
    mean = years * np.where(ms == 1, 3.0, 1.0)
    counts = rng.negative_binomial(1.5, 1.5 / (1.5 + mean)).astype(float)
    return counts, years, np.column_stack([ms, 1 - ms])


def test_a_refit_is_the_fit_from_the_start():
    counts, years, design = counted(40, seed=2)
    fit = fit_counts(counts, years, design)
    rows = np.random.default_rng(3).integers(0, 80, 80)
    again = refit_counts(fit, counts[rows], years[rows], design[rows])
    expected = fit_counts(counts[rows], years[rows], design[rows]).coefficients
    assert again == pytest.approx(expected, abs=1e-6)
    assert np.isnan(refit_counts(fit, np.zeros(80), years, design)).all()
    # All counts alike: no overdispersion, so no theta.
    assert np.isnan(refit_counts(fit, np.full(80, 3.0), np.ones(80), design)).all()


def test_the_rate_ratio_has_an_interval_over_participants():
    counts, years, design = counted(30, seed=4)
    names = [f"sub-{i:02d}" for i in range(60)]
    table = pd.DataFrame({"participant_id": names, "new_lesions": counts, "years": years})
    people = pd.DataFrame(
        {"participant_id": names, "diagnosis": np.where(design[:, 0] == 1, "MS", "NMOSD")}
    )
    models = ModelSettings(covariates=(), bootstrap_draws=120)
    rows = list(
        count_rows(NewLesions(table, ""), people, StudySettings(name="test", models=models))
    )
    assert [row.role for row in rows] == ["secondary"] * 3 + ["sensitivity"] * 3
    wald, again = rows[2].estimate, rows[5].estimate
    assert again.interval_method == "bootstrap BCa"
    assert again.estimate == wald.estimate
    assert np.isnan(again.p_value)
    # The same variance estimated twice, so nearly the same interval of the logarithm.
    widths = [np.log(e.interval_high / e.interval_low) for e in (wald, again)]
    assert widths[1] == pytest.approx(widths[0], rel=0.35)
    assert again.interval_low < again.estimate < again.interval_high


@pytest.mark.parametrize(
    ("changed", "what"),
    [({"new_lesion_count": -1}, "whole number"), ({"new_lesion_count": 1.5}, "whole number")],
)
def test_bad_counts_are_refused(tmp_path, changed, what):
    row = {"participant_id": "sub-01", "start_session_id": "a", "end_session_id": "b",
           "model_version": "m/1", "new_lesion_count": 1}  # fmt: skip
    path = tmp_path / "new.tsv"
    pd.DataFrame([{**row, **changed}]).to_csv(path, sep="\t", index=False)
    with pytest.raises(MeasurementsError, match=what):
        read_new_lesions(path)
    pd.DataFrame([row, row]).to_csv(path, sep="\t", index=False)
    with pytest.raises(MeasurementsError, match="listed twice"):
        read_new_lesions(path)
    pd.DataFrame([row]).drop(columns="model_version").to_csv(path, sep="\t", index=False)
    with pytest.raises(MeasurementsError, match="missing column model_version"):
        read_new_lesions(path)
    pd.DataFrame([row | {"end_session_id": None}]).to_csv(path, sep="\t", index=False)
    with pytest.raises(MeasurementsError, match="lacks its participant, one of its sessions"):
        read_new_lesions(path)
    with pytest.raises(MeasurementsError, match="cannot be read"):
        read_new_lesions(tmp_path / "none.tsv")


def test_ids_are_read_as_they_are_written(tmp_path):
    tracked = tracking(("01", "1", "02", 3))
    tracked.to_csv(tmp_path / "new.tsv", sep="\t", index=False)
    found = read_new_lesions(tmp_path / "new.tsv")
    assert found.iloc[0].to_list() == ["01", "1", "02", "m/1", 3]
