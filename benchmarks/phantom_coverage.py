"""Every estimate beside its true value, and how often its interval holds it, on the phantom.

    python benchmarks/phantom_coverage.py --cohorts 200 [--restart]

Cohorts of the study's size are drawn from the phantom's model of participants and courses
(without images), measured with the segmenter's error of `make study`, and analysed by the same
code as `analyze.py`. Each run adds its cohorts to benchmarks/results/phantom_coverage.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bench_statistics import settings
from error_correction import MEASURED_AGAIN
from phantom_cohorts import Population, cohort, population, whole

from lesion_dynamics.longitudinal.quantile_regression import quantile_coefficients
from lesion_dynamics.settings.study import StudySettings
from lesion_dynamics.workflows.analysis import analyse
from lesion_dynamics.workflows.analysis_result import AnalysisResult

RESULTS = Path(__file__).parent / "results" / "phantom_coverage.json"
EACH, SEED = 500, 61
MODEL_DRAWS = 200
KEY = ["diagnosis", "quantity", "statistic"]
RATE = "annualised_change_mm3_per_year"
logger = logging.getLogger("phantom_coverage")
Tally = dict[str, dict[str, float]]


def study(*, draws: int, models: int = 0) -> StudySettings:
    """The study with fewer draws, ``models`` of them for models, and without the panel."""
    return StudySettings.model_validate(
        {"name": "phantom", "bootstrap_draws": max(draws, 100),
         "models": {"bootstrap_draws": models, "permutations": 0},
         "robustness": {"washout_days": [], "attack_intervals": False, "same_scanner": False,
                        "two_point_against_slope": False, "brain_volume_normalised": False,
                        "leave_one_out": False, "extremes_left_out": 0},
         "measurement_error": {"bootstrap_draws": max(draws // 5, 100)}}
    )  # fmt: skip


def true_values(everyone: Population) -> dict[str, float]:
    """Of the whole population, from its true volumes."""
    result = analyse(whole(everyone), settings(study(draws=0)))
    rows = result.statistics
    rows = rows[rows["estimate"].notna() & (rows["role"] != "sensitivity")]
    found = {_name(row): float(row["estimate"]) for _, row in rows.iterrows()}
    found |= _quantiles(result.changes, everyone.tables.participants)
    return {name: value for name, value in found.items() if "/ count" not in name}


def _quantiles(changes: pd.DataFrame, people: pd.DataFrame) -> dict[str, float]:
    rows = changes.dropna(subset=[RATE]).merge(
        people.drop(columns="diagnosis"), on="participant_id"
    )
    design = np.column_stack(
        [np.ones(len(rows)), rows["diagnosis"] == "MS", rows["age_years"], rows["sex"] == "F"]
    ).astype(np.float64)
    response = rows[RATE].to_numpy(dtype=np.float64)
    return {
        f"MS vs NMOSD / {RATE} / quantile {q:g}": float(
            quantile_coefficients(response, design, q)[1]
        )
        for q in (0.25, 0.5, 0.75)
    }


def _name(row: pd.Series) -> str:
    return " / ".join(str(row[key]) for key in KEY)


def intervals(result: AnalysisResult) -> pd.DataFrame:
    """Every estimate with an interval of the truth and of the segmenter; the corrected ones too."""
    statistics = result.statistics.assign(source=result.statistics["model_version"])
    errors = result.measurement_error
    corrected = errors[errors["statistic"].str.contains(", corrected|after calibration")]
    corrected = corrected.assign(
        source="corrected", statistic=corrected["statistic"].str.split(",").str[0]
    )
    rows = pd.concat([statistics, corrected], ignore_index=True)
    # The zero methods differ in their test; the estimate and its interval are the same.
    rows = rows[rows["zero_method"].isin(["", "pratt"])]
    return rows[rows["interval_low"].notna() & rows["interval_high"].notna()]


def add(tally: dict[str, Tally], result: AnalysisResult, truth: dict[str, float]) -> None:
    """Count one cohort: sum, sum of squares and covered by source, estimate and interval."""
    for _, row in intervals(result).iterrows():
        name = _name(row)
        if name not in truth:
            continue
        label = f"{name} / {row['interval_method']}"
        own = tally.setdefault(str(row["source"]), {}).setdefault(
            label, {"cohorts": 0, "sum": 0.0, "squares": 0.0, "covered": 0}
        )
        error = float(row["estimate"]) - truth[name]
        own["cohorts"] += 1
        own["sum"] += error
        own["squares"] += error**2
        own["covered"] += bool(row["interval_low"] <= truth[name] <= row["interval_high"])


def summary(tally: dict[str, Tally], truth: dict[str, float]) -> dict[str, Any]:
    """By estimate: its true value; by source: bias, spread, coverage and cohorts counted."""
    found: dict[str, Any] = {}
    for source, rows in tally.items():
        for label, own in rows.items():
            name = label.rsplit(" / ", 1)[0]
            n, mean = own["cohorts"], own["sum"] / own["cohorts"]
            spread = max(own["squares"] / n - mean**2, 0.0) ** 0.5
            found.setdefault(label, {"true": round(truth[name], 4)})[source] = {
                "bias": round(mean, 4), "spread": round(spread, 4),
                "coverage": round(own["covered"] / n, 4), "cohorts": int(n),
            }  # fmt: skip
    return dict(sorted(found.items()))


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--restart", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    begin = time.perf_counter()
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() and not arguments.restart else {}
    tally, done = kept.get("tally", {}), kept.get("run", {}).get("cohorts", 0)
    figures = MEASURED_AGAIN
    everyone = population(EACH, seed=SEED)
    truth = kept.get("true_values") or true_values(everyone)
    for number in range(done, done + arguments.cohorts):
        if time.perf_counter() - begin > 60 * arguments.minutes:
            break
        inputs = cohort(everyone, figures, np.random.default_rng([SEED, number]))
        # Models take longest to resample: in one cohort of five.
        models = MODEL_DRAWS if number % 5 == 0 else 0
        chosen = study(draws=arguments.draws, models=models)
        add(tally, analyse(inputs, settings(chosen)), truth)
        done = number + 1
    result = {
        "run": {"cohorts": done, "draws": arguments.draws, "population_each": EACH},
        "segmenter": [f.model_dump() for f in figures.values()],
        "estimates": summary(tally, truth),
        "true_values": truth,
        "tally": tally,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    logger.info("%d cohorts, %.0f s", done, time.perf_counter() - begin)
    for label, rows in result["estimates"].items():
        coverage = {k: v["coverage"] for k, v in rows.items() if k != "true"}
        logger.info("%s %s", label, coverage)


if __name__ == "__main__":
    main()
