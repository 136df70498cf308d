import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from lesion_dynamics.errors import CohortError, MeasurementsError, OutputError
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows import analysis

CONF = Path(__file__).parents[2] / "conf"
PAPER = {f"{name}.{kind}" for name in ("table_one", "results") for kind in ("csv", "md", "tex")}
YEAR = 365.25
RATE = "annualised_change_mm3_per_year"
N_MS, N_NMOSD = 9, 8
TABLES = {
    "statistics.tsv", "change_per_participant.tsv", "intervals.tsv", "comparison.tsv",
    "scans_left_out.tsv", "study.txt", "provenance.json", "robustness.tsv",
    "measurement_error.tsv", "version_differences.tsv", "version_agreement.tsv",
    "class_changes.tsv", "verdicts.tsv",
}  # fmt: skip
PICTURES = {
    "trajectories.png", "trajectories.svg", "annualised_change.png", "annualised_change.svg",
    "robustness.png", "robustness.svg",
}  # fmt: skip


def tsv(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A cohort of tables only: MS grows by 200 mm3/year, NMOSD by 20, two of them by nothing.

    Three scans a participant, one year apart; an attack of sub-ms0 at day 500 adds 5,000 mm3.
    """
    rows, diagnoses = [], {}
    rng = np.random.default_rng(0)
    for diagnosis, n, rate, start in (("MS", N_MS, 200, 3000), ("NMOSD", N_NMOSD, 20, 600)):
        for i in range(n):
            who = f"sub-{diagnosis.lower()}{i}"
            diagnoses[who] = diagnosis
            free = diagnosis == "NMOSD" and i < 2
            own = 0.0 if free else rate * (1 + 0.02 * i)
            first = 0.0 if free else start * rng.lognormal(0, 0.5)
            attack = 5000.0 if who == "sub-ms0" else 0.0
            volumes = [first, first + own, first + 2 * own + attack]
            rows.extend((who, f"ses-{s + 1:02d}", v) for s, v in enumerate(volumes))
            tsv(
                tmp_path / "data" / who / f"{who}_sessions.tsv",
                pd.DataFrame(
                    {
                        "session_id": ["ses-01", "ses-02", "ses-03"],
                        "days_from_baseline": [0, YEAR, 2 * YEAR],
                        "scanner": ["scanner1", "scanner1", "scanner2" if i == 3 else "scanner1"],
                    }
                ),
            )
    people = pd.DataFrame({"participant_id": list(diagnoses), "diagnosis": diagnoses.values()})
    people = people.assign(age=40 + rng.integers(0, 9, len(people)), sex="F", scanner="scanner1")
    tsv(tmp_path / "data" / "participants.tsv", people)
    attacks = pd.DataFrame(
        {"participant_id": ["sub-ms0"], "attack_id": ["a1"], "days_from_baseline": [500]}
    )
    tsv(tmp_path / "data" / "phenotype" / "attacks.tsv", attacks)
    description = {"Name": "tiny", "BIDSVersion": "1.10.0"}
    (tmp_path / "data" / "dataset_description.json").write_text(json.dumps(description))
    true = pd.DataFrame(rows, columns=["participant_id", "session_id", "lesion_volume_mm3"])
    true = true.assign(status="measured", reason="", model_version="truth")
    true["brain_volume_mm3"] = 1_300_000 + 1000 * pd.factorize(true["participant_id"])[0]
    tsv(tmp_path / "truth.tsv", true)
    for number, gain in ((1, 0.8), (2, 0.9)):
        volumes = (true["lesion_volume_mm3"] * gain).round(3)
        table = true.assign(model_version=f"segmenter/{number}", lesion_volume_mm3=volumes)
        folder = tmp_path / "derivatives" / f"segmenter-v{number}"
        tsv(folder / "lesion_measurements.tsv", table)
    return tmp_path


def small_study() -> dict[str, object]:
    """The shipped study with few draws."""
    values = yaml.safe_load((CONF / "study" / "hong2025.yaml").read_text())
    values["bootstrap_draws"] = 200
    values["models"].update(bootstrap_draws=0, permutations=200)
    values["measurement_error"].update(simex_order=3, bootstrap_draws=100)
    return values


def settings(folder: Path, *, output: str = "results", **changed: object) -> AnalyzeSettings:
    values = {
        "cohort": {
            "name": "tiny", "layout": "bids", "root": folder / "data",
            "truth": folder / "truth.tsv",
        },
        "measurements": [str(folder / "derivatives")],
        "study": small_study(),
        "output": folder / output,
    }  # fmt: skip
    for key, value in changed.items():
        *sections, name = key.split("__")
        place = values
        for section in sections:
            place = place[section]
        place[name] = value
    return validated(AnalyzeSettings, values)


def one(table: pd.DataFrame, version: str, diagnosis: str, quantity: str, statistic: str):
    rows = table[
        (table["model_version"] == version)
        & (table["diagnosis"] == diagnosis)
        & (table["quantity"] == quantity)
        & (table["statistic"] == statistic)
    ]
    return rows.iloc[0]


def test_the_study_comes_out_with_measured_true_and_published_side_by_side(study, capsys):
    result = analysis.run(settings(study))
    assert set(result.files) == TABLES | PICTURES | PAPER
    here = {path.name for path in (study / "results").iterdir() if path.is_file()}
    assert here == TABLES | PICTURES
    assert {path.name for path in (study / "results" / "paper").iterdir()} == PAPER
    # 200 (1 + 0.02 i) mm3/year over i = 0 ... 8: the attack of i = 0 does not enter.
    row = one(result.comparison, "segmenter/2", "MS", RATE, "median")
    assert row["measured"] == pytest.approx(0.9 * 216, abs=0.01)
    assert row["true"] == pytest.approx(216, abs=0.01)
    assert row["published"] == 193
    assert row["measured_over_true"] == pytest.approx(0.9, abs=1e-4)
    test = one(result.comparison, "segmenter/2", "MS", "remission_change_mm3", "pseudomedian")
    assert test["measured_p_value"] == pytest.approx(2 / 2**N_MS)
    between = one(result.statistics, "truth", "MS vs NMOSD", RATE, "Cliff's delta")
    assert between["estimate"] == 1.0
    shown = capsys.readouterr().out
    assert shown.startswith((study / "results" / "study.txt").read_text())
    assert "trajectories.png" in shown


def test_the_attack_interval_is_listed_with_its_reason_and_left_out_of_the_change(study):
    result = analysis.run(settings(study))
    own = result.intervals[
        (result.intervals["participant_id"] == "sub-ms0")
        & (result.intervals["model_version"] == "truth")
    ]
    assert own["is_remission"].tolist() == [True, False]
    assert own["reason"].tolist()[1] != ""
    changes = result.changes.query("participant_id == 'sub-ms0' and model_version == 'truth'")
    assert changes["remission_change_mm3"].item() == 200
    assert changes["total_change_mm3"].item() == 5400


def test_same_inputs_same_bytes_and_no_absolute_path(study):
    first = analysis.run(settings(study, output="a"))
    second = analysis.run(settings(study, output="b"))
    for name in (TABLES | PICTURES | PAPER) - {"provenance.json"}:
        assert first.files[name].read_bytes() == second.files[name].read_bytes(), name
    provenance = first.files["provenance.json"].read_text()
    assert str(study) not in provenance
    hashes = json.loads(provenance)["inputs_sha256"]
    assert len(hashes) == 6
    assert all(len(value) == 64 for value in hashes.values())


def test_a_failed_scan_is_left_out_of_every_version_and_named(study):
    path = study / "derivatives" / "segmenter-v2" / "lesion_measurements.tsv"
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    scan = (table["participant_id"] == "sub-ms3") & (table["session_id"] == "ses-02")
    table["lesion_volume_mm3"] = table["lesion_volume_mm3"].astype(object)
    table.loc[scan, ["lesion_volume_mm3", "status", "reason"]] = ["n/a", "failed", "all zero"]
    tsv(path, table)
    result = analysis.run(settings(study))
    assert result.left_out.to_dict("records") == [
        {
            "participant_id": "sub-ms3",
            "session_id": "ses-02",
            "reason": "segmenter/2: all zero",
        }
    ]
    assert "Scans: 50 in every column; 1 left out." in result.text
    own = result.changes[result.changes["participant_id"] == "sub-ms3"]
    assert own["sessions_left_out"].tolist() == [1, 1, 1]
    # The interval now spans the missing scan; the change over it is the same.
    assert own["remission_interval_count"].tolist() == [1, 1, 1]
    assert own.loc[own["model_version"] == "truth", RATE].item() == pytest.approx(212, abs=0.01)


@pytest.mark.parametrize(
    "changed",
    [
        {"study__washout_days": 500},
        {"study__zero_method": "wilcox"},
        {"study__interval_level": 0.8},
        {"study__bootstrap_draws": 150},
        {"study__seed": 3},
        {"study__published": None},
        {"study__name": "another"},
        {"study__models__transform": "log1p"},
        {"study__models__covariates": []},
        {"study__models__bootstrap_draws": 20},
        {"study__models__permutations": 100},
        {"study__models__quantiles": [0.4]},
        {"study__families": []},
        {"study__robustness__washout_days": [7]},
        {"study__robustness__attack_intervals": False},
        {"study__robustness__same_scanner": False},
        {"study__robustness__two_point_against_slope": False},
        {"study__robustness__brain_volume_normalised": False},
        {"study__robustness__leave_one_out": False},
        {"study__robustness__extremes_left_out": 0.2},
        {"study__measurement_error__simex_order": 2},
        {"study__measurement_error__bootstrap_draws": 120},
        {"study__measurement_error__power": 0.9},
        {"study__measurement_error__figures": [{"diagnosis": "MS", "noise_mm3": 50}]},
        {"cohort__truth": None},
        {"cohort__name": "another"},
    ],
)
def test_every_knob_changes_the_result(study, changed):
    # Before everyone's first scan, so that a longer washout reaches the first interval.
    attacks = pd.DataFrame(
        {"participant_id": ["sub-ms1"], "attack_id": ["a1"], "days_from_baseline": [-200]}
    )
    tsv(study / "data" / "phenotype" / "attacks.tsv", attacks)
    assert output_of(study, changed) != plain_output(study)


PLAIN: list[tuple[str, ...]] = []


def plain_output(study: Path) -> tuple[str, ...]:
    """The output without any change: the same for every knob, so computed once."""
    if not PLAIN:
        PLAIN.append(output_of(study, {}))
    return PLAIN[0]


def output_of(study: Path, changed: dict[str, object]) -> tuple[str, ...]:
    # One model version and the truth: half of the work of two.
    one_version = str(study / "derivatives" / "segmenter-v1")
    chosen = settings(study, measurements=one_version, **{"study__bootstrap_draws": 100, **changed})
    result = analysis.analyse(analysis.read_inputs(chosen), chosen)
    tables = (
        result.statistics, result.comparison, result.robustness, result.measurement_error,
        result.version_differences,
    )  # fmt: skip
    return (*(table.to_csv() for table in tables), result.text)


def test_the_same_settings_give_the_same_output(study):
    attacks = pd.DataFrame(
        {"participant_id": ["sub-ms1"], "attack_id": ["a1"], "days_from_baseline": [-200]}
    )
    tsv(study / "data" / "phenotype" / "attacks.tsv", attacks)
    assert output_of(study, {}) == plain_output(study)


def test_another_operating_point_and_tracked_new_lesions_reach_the_results(study):
    tables = sorted((study / "derivatives").glob("*/lesion_measurements.tsv"))
    other = pd.concat([pd.read_csv(path, sep="\t", keep_default_na=False) for path in tables])
    other["lesion_volume_mm3"] = other["lesion_volume_mm3"] / 2
    tsv(study / "other" / "lesion_measurements.tsv", other)
    changes = pd.concat(
        pd.DataFrame({"participant_id": other["participant_id"].unique()}).assign(
            start_session_id=start, end_session_id=end, model_version=f"segmenter/{version}"
        )
        for start, end in (("ses-01", "ses-02"), ("ses-02", "ses-03"))
        for version in (1, 2)
    )
    rng = np.random.default_rng(3)
    changes["new_lesion_count"] = rng.negative_binomial(1, 0.3, len(changes))
    tsv(study / "new.tsv", changes)
    chosen = settings(
        study,
        study__robustness__other_measurements={"half": [str(study / "other")]},
        new_lesions=study / "new.tsv",
    )
    result = analysis.run(chosen)
    own = result.robustness[result.robustness["diagnosis"] == "MS"].set_index(
        ["model_version", "line"]
    )["estimate"]
    declared = own["segmenter/1"].iloc[0]
    assert own["segmenter/1", "half"] == pytest.approx(declared / 2, rel=1e-3)
    rate = one(result.statistics, "segmenter/1", "MS", "new_lesions_per_year",
               "negative-binomial rate")  # fmt: skip
    assert rate["estimate"] > 0.5
    assert "half" in result.files["provenance.json"].read_text()


def test_verdicts_and_faked_differences_are_told_on_the_screen(study):
    path = study / "derivatives" / "segmenter-v2" / "lesion_measurements.tsv"
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    wrong = table["participant_id"].str.startswith("sub-ms")
    last = table["session_id"] == "ses-03"
    table.loc[wrong & last, "lesion_volume_mm3"] -= 5000
    table["lesion_volume_mm3"] = table["lesion_volume_mm3"].clip(lower=0)
    tsv(path, table)
    result = analysis.run(settings(study))
    assert "MS remission_change_mm3 (pseudomedian): reversed" in result.text
    assert "Unequal gain of segmenter/1 alone would show a shift of" in result.text


def test_one_table_may_stand_alone_and_patterns_are_expanded(study):
    table = study / "derivatives" / "segmenter-v1" / "lesion_measurements.tsv"
    alone = settings(study, measurements=str(table))
    assert analysis.read_inputs(alone).measurements["model_version"].unique().tolist() == [
        "segmenter/1",
        "truth",
    ]
    both = settings(study, measurements=[str(study / "deriv*" / "segmenter-v?"), str(table)])
    versions = analysis.read_inputs(both).measurements["model_version"].unique().tolist()
    assert versions == ["segmenter/1", "segmenter/2", "truth"]


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


def test_neither_torch_nor_an_image_reader_is_loaded(study):
    program = (
        "import sys, pathlib\n"
        "from lesion_dynamics.settings.analysis import AnalyzeSettings\n"
        "from lesion_dynamics.workflows import analysis\n"
        "heavy = {'scipy.stats', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "text = pathlib.Path(sys.argv[1]).read_text()\n"
        "analysis.run(AnalyzeSettings.model_validate_json(text))\n"
        "loaded = {'torch', 'monai', 'torchio', 'mlflow', 'hydra'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    chosen = study / "settings.json"
    chosen.write_text(settings(study).model_dump_json())
    done = subprocess.run(
        [sys.executable, "-c", program, str(chosen)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_shipped_configuration_composes_into_the_settings():
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("analyze", overrides=["cohort.name=tiny"])
    values = OmegaConf.to_container(composed, resolve=True)
    chosen = validated(AnalyzeSettings, values)
    assert chosen.measurements == ("derivatives/tiny",)
    assert chosen.study.published is not None
    known = {(f.diagnosis, f.quantity, f.statistic) for f in chosen.study.published.figures}
    assert len(known) == len(chosen.study.published.figures)
