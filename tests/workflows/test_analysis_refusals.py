from pathlib import Path

import pandas as pd
import pytest
from tests.workflows.analysis_cohort import RATE, YEAR, one, settings, tsv

from lesion_dynamics.errors import CohortError, MeasurementsError, OutputError
from lesion_dynamics.workflows import analysis


def test_one_diagnosis_and_two_participants_still_give_what_can_be_computed(study):
    keep = ["sub-ms0", "sub-ms1"]
    for path in (study / "data" / "participants.tsv", *study.glob("derivatives/*/*.tsv")):
        table = pd.read_csv(path, sep="\t", keep_default_na=False)
        tsv(path, table[table["participant_id"].isin(keep)])
    for folder in (study / "data").glob("sub-*"):
        if folder.name not in keep:
            (folder / f"{folder.name}_sessions.tsv").unlink()
            folder.rmdir()
    result = analysis.run(settings(study, cohort__truth=None))
    assert result.statistics["p_value"].isna().all()
    assert one(result.statistics, "segmenter/1", "MS", RATE, "median")["estimate"] > 100
    assert "at least 3 are needed" in result.text
    assert (study / "results" / "trajectories.png").is_file()


def test_bad_inputs_are_refused_before_anything_is_computed(study, tmp_path):
    with pytest.raises(MeasurementsError, match="no table of lesion volumes"):
        analysis.run(settings(study, measurements=str(tmp_path / "nowhere")))
    with pytest.raises(CohortError):
        analysis.run(settings(study, cohort__root=tmp_path / "nowhere"))
    with pytest.raises(MeasurementsError, match="no such table"):
        analysis.run(settings(study, cohort__truth=tmp_path / "none.tsv"))
    stranger = pd.DataFrame(
        {"participant_id": ["sub-x"], "session_id": ["ses-01"], "model_version": ["m/1"],
         "lesion_volume_mm3": [1.0]}
    )  # fmt: skip
    tsv(tmp_path / "other.tsv", stranger)
    with pytest.raises(MeasurementsError, match="no such participant"):
        analysis.run(settings(study, measurements=str(tmp_path / "other.tsv")))


def test_an_output_that_is_a_file_is_refused(study):
    (study / "results").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        analysis.run(settings(study))


def test_versions_without_a_scan_in_common_are_refused(study):
    for number, session in ((1, "ses-01"), (2, "ses-02")):
        path = study / "derivatives" / f"segmenter-v{number}" / "lesion_measurements.tsv"
        table = pd.read_csv(path, sep="\t", keep_default_na=False)
        tsv(path, table[table["session_id"] == session])
    with pytest.raises(MeasurementsError, match="no scan was measured by every model version"):
        analysis.run(settings(study))


def table_of(study: Path, number: int = 1) -> tuple[Path, pd.DataFrame]:
    path = study / "derivatives" / f"segmenter-v{number}" / "lesion_measurements.tsv"
    return path, pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("lesion_volume_mm3", "-5", "lesion_volume_mm3 is negative"),
        ("lesion_volume_mm3", "", "a measured scan has no lesion_volume_mm3"),
        ("lesion_volume_mm3", "1,234", "lesion_volume_mm3 is not a number (1,234)"),
        ("lesion_volume_mm3", "inf", "lesion_volume_mm3 is not a number (inf)"),
        ("status", "done", "status is neither measured nor failed"),
        ("status", "failed", "a failed scan has a lesion_volume_mm3"),
        ("session_id", "ses-09", "no such session"),
        ("participant_id", "sub-x", "no such participant"),
        ("participant_id", "", "participant_id is missing"),
    ],
)
def test_a_bad_row_is_refused_by_name_and_all_else_is_computed(study, column, value, said):
    path, table = table_of(study)
    # The second of three scans of sub-ms4: its change from first to last does not need it.
    (row,) = table.index[(table["participant_id"] == "sub-ms4") & (table["session_id"] == "ses-02")]
    table.loc[row, column] = value
    tsv(path, table)
    chosen = settings(study, measurements=str(path))
    inputs = analysis.read_inputs(chosen)
    (refusal,) = inputs.refusals
    assert said in str(refusal)
    result = analysis.analyse(inputs, chosen)
    assert f"Refused: {refusal}." in result.text
    changes = result.changes
    assert changes[RATE].notna().sum() == 2 * 17
    own = changes[(changes["participant_id"] == "sub-ms4") & (changes["model_version"] == "truth")]
    assert own[RATE].item() == pytest.approx(216, abs=0.01)
    assert own["session_count"].item() == 2


def test_a_scan_listed_twice_is_refused_altogether(study):
    path, table = table_of(study)
    twice = table[(table["participant_id"] == "sub-ms4") & (table["session_id"] == "ses-02")]
    tsv(path, pd.concat([table, twice.assign(lesion_volume_mm3="1.0")]))
    with pytest.raises(MeasurementsError, match=r"2 row.* listed more than once"):
        analysis.run(settings(study))
    assert (study / "results" / "study.txt").is_file()
    left_out = pd.read_csv(study / "results" / "scans_left_out.tsv", sep="\t")
    assert left_out["session_id"].tolist() == ["ses-02"]
    assert "segmenter/1: refused: listed more than once" in left_out["reason"].item()


def test_dates_in_another_order_than_the_names_are_told_and_used(study):
    path = study / "data" / "sub-ms2" / "sub-ms2_sessions.tsv"
    sessions = pd.read_csv(path, sep="\t")
    sessions["days_from_baseline"] = [0.0, 2 * YEAR, YEAR]
    tsv(path, sessions)
    result = analysis.run(settings(study))
    assert "Sessions named against their dates in 1 participant(s) (sub-ms2)" in result.text
    own = result.changes.query("participant_id == 'sub-ms2' and model_version == 'truth'")
    assert own["last_session_id"].item() == "ses-02"


def test_all_zero_volumes_give_volumes_and_no_test(study):
    for number in (1, 2):
        path, table = table_of(study, number)
        tsv(path, table.assign(lesion_volume_mm3="0.0"))
    result = analysis.run(settings(study, cohort__truth=None))
    assert one(result.statistics, "segmenter/1", "MS", RATE, "median")["estimate"] == 0
    change = one(result.statistics, "segmenter/1", "MS", "remission_change_mm3", "pseudomedian")
    assert change["estimate"] == 0
    assert pd.isna(change["p_value"])
    assert "every change is zero" in result.text


def test_a_single_session_each_gives_first_volumes_and_says_why_no_change(study):
    for number in (1, 2):
        path, table = table_of(study, number)
        tsv(path, table[table["session_id"] == "ses-01"])
    result = analysis.run(settings(study, cohort__truth=None))
    assert result.statistics["p_value"].isna().all()
    assert (result.changes["first_lesion_volume_mm3"].notna()).all()
    assert "Participants without a remission change: 17 (a single session" in result.text


def test_one_diagnosis_only_is_analysed_and_not_compared(study):
    people = pd.read_csv(study / "data" / "participants.tsv", sep="\t")
    tsv(study / "data" / "participants.tsv", people.assign(diagnosis="MS"))
    result = analysis.run(settings(study, cohort__truth=None))
    change = one(result.statistics, "segmenter/1", "MS", "remission_change_mm3", "pseudomedian")
    assert change["p_value"] < 0.001
    between = one(result.statistics, "segmenter/1", "MS vs NMOSD", RATE, "shift")
    assert pd.isna(between["estimate"])
    assert "one diagnosis has no participant" in result.text


@pytest.mark.slow
def test_tables_of_a_former_run_with_more_model_versions_go(study):
    analysis.run(settings(study, cohort__truth=None))
    assert (study / "results" / "verdicts.tsv").is_file()
    alone = str(study / "derivatives" / "segmenter-v1")
    analysis.run(settings(study, cohort__truth=None, measurements=alone))
    for name in ("verdicts", "version_differences", "version_agreement", "class_changes"):
        assert not (study / "results" / f"{name}.tsv").exists()
