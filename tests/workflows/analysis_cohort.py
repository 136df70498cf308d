"""A cohort of tables only, and settings of an analysis of it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.strict import validated

CONF = Path(__file__).parents[2] / "conf"
PAPER = {
    f"{name}.{kind}" for name in ("table_one", "results") for kind in ("csv", "md", "tex", "docx")
}
YEAR = 365.25
RATE = "annualised_change_mm3_per_year"
N_MS, N_NMOSD = 9, 8
TABLES = {
    "statistics.tsv", "change_per_participant.tsv", "intervals.tsv", "comparison.tsv",
    "scans_left_out.tsv", "study.txt", "provenance.json", "robustness.tsv",
    "measurement_error.tsv", "version_differences.tsv", "version_agreement.tsv",
    "class_changes.tsv", "verdicts.tsv", "remission.tsv", "scans.tsv", "attacks.tsv",
}  # fmt: skip
PICTURES = {
    "trajectories.png", "trajectories.svg", "annualised_change.png", "annualised_change.svg",
    "robustness.png", "robustness.svg",
}  # fmt: skip


def tsv(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def make_study(tmp_path: Path) -> Path:
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
    values["measurement_error"].update(bootstrap_draws=100)
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
        "report": False,
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
