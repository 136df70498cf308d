import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from tests.workflows.analysis_cohort import (
    CONF,
    N_MS,
    PAPER,
    PICTURES,
    RATE,
    TABLES,
    one,
    settings,
    tsv,
)

from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows import analysis


def test_the_study_comes_out_with_measured_true_and_published_side_by_side(study, capsys):
    result = analysis.run(settings(study))
    assert set(result.files) == TABLES | PICTURES | PAPER
    here = {path.name for path in (study / "results").iterdir() if path.is_file()}
    assert here == TABLES | PICTURES | {"lineage.json"}
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


def test_every_result_says_what_the_remission_rule_left_out(study):
    attacks = study / "data" / "phenotype" / "attacks.tsv"
    rows = {"participant_id": ["sub-ms0", "sub-nmosd1"], "attack_id": [1, 1]}
    tsv(attacks, pd.DataFrame({**rows, "days_from_baseline": ["500", "n/a"]}))
    result = analysis.run(settings(study))
    # 17 participants, two intervals each: one holds the attack, two have an undated one.
    left_out = "Intervals in remission: 31 of 34; left out: 2 date of an attack unknown; 1 attack"
    assert left_out in result.text
    assert "Scans in remission: 47 of 51; left out: 3 date of an attack unknown; 1" in result.text
    assert "attack of unknown date, none of whose intervals counts: 1 (sub-nmosd1)." in result.text
    assert "Participants without an attack in the record, taken as free of attacks: 15." in (
        result.text
    )
    table = pd.read_csv(result.files["remission.tsv"], sep="\t")
    assert table.groupby("unit")["count"].sum().to_dict() == {"interval": 34, "scan": 51}
    said = json.loads(result.files["provenance.json"].read_text())["remission"]
    assert said["washout_days"] == 90
    assert said["participants_with_undated_attack"] == ["sub-nmosd1"]
    assert sum(row["count"] for row in said["counts"] if row["unit"] == "interval") == 34


def test_a_cohort_without_a_record_of_attacks_is_said_and_has_no_remission(study):
    (study / "data" / "phenotype" / "attacks.tsv").unlink()
    result = analysis.analyse(analysis.read_inputs(settings(study)), settings(study))
    assert "Intervals in remission: 0 of 34; left out: 34 attacks not recorded." in result.text
    assert result.text.count("The cohort has no record of attacks") == 1
    assert not result.remission.attacks_recorded


@pytest.mark.slow
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
    # What tracking left beside the measurements is read without being named.
    for version in (1, 2):
        own = changes[changes["model_version"] == f"segmenter/{version}"]
        tsv(study / "derivatives" / f"segmenter-v{version}" / "lesion_intervals.tsv", own)
    beside = analysis.run(settings(study, output=study / "beside"))
    again = one(beside.statistics, "segmenter/1", "MS", "new_lesions_per_year",
                "negative-binomial rate")  # fmt: skip
    assert again["estimate"] == rate["estimate"]
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


def test_alternatives_and_repeatability_beside_the_measurements_are_read(study):
    folder = study / "derivatives" / "segmenter-v1"
    table = pd.read_csv(folder / "lesion_measurements.tsv", sep="\t", keep_default_na=False)
    table = table.assign(probability_threshold=0.5, minimum_lesion_volume_mm3=9.0)
    tsv(folder / "lesion_measurements.tsv", table)
    other = table.assign(lesion_volume_mm3=table["lesion_volume_mm3"] / 2)
    tsv(
        folder / "lesion_measurements_alternatives.tsv",
        pd.concat([other.assign(probability_threshold=0.6),
                   other.assign(minimum_lesion_volume_mm3=27.0)]),
    )  # fmt: skip
    figure = {"diagnosis": "all", "noise_mm3": 100.0, "noise_share": 0.0, "scans": 20}
    record = {"format": 1, "model_version": "segmenter/1", "source": "made", "figures": [figure]}
    (folder / "repeatability.json").write_text(json.dumps(record))
    chosen = settings(study)
    inputs = analysis.read_inputs(chosen)
    result = analysis.analyse(inputs, chosen)
    own = result.robustness[result.robustness["diagnosis"] == "MS"].set_index(
        ["model_version", "line"]
    )
    declared = own.loc["segmenter/1", "estimate"].iloc[0]
    for line in ("threshold 0.6", "minimum lesion volume 27 mm3"):
        found = own.loc[("segmenter/1", line), "estimate"]
        assert found == pytest.approx(declared / 2, rel=1e-3)
        assert ("segmenter/2", line) not in own.index
    absent = own.loc[("segmenter/2", "other thresholds and volumes"), "note"]
    assert "no lesion_measurements_alternatives.tsv" in absent
    assert ("truth", "other thresholds and volumes") not in own.index
    changes = result.changes.set_index(["model_version", "participant_id"])
    # Two scans of 100 mm3 noise each, 1.96 standard deviations.
    limit = changes.loc[("segmenter/1", "sub-ms1"), "smallest_detectable_change_mm3"]
    assert limit == pytest.approx(1.96 * 100 * np.sqrt(2), rel=1e-3)
    assert changes.loc[("segmenter/1", "sub-nmosd5"), "beyond_noise"] == "no"
    assert changes.loc[("segmenter/1", "sub-ms5"), "beyond_noise"] == "yes"
    names = " ".join(inputs.hashes)
    assert "repeatability.json" in names
    assert "alternatives" in names
