"""How long the statistics take: python benchmarks/bench_statistics.py (make bench-statistics).

    python benchmarks/bench_statistics.py [--part help large small versions others]

Each part in a process of its own. Prints a table and writes it into
benchmarks/results/statistics.json, beside what other parts left there; ratios against what a
user would pick instead (statsmodels' MixedLM, scipy's bootstrap) travel between machines,
seconds do not.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from simulated_cohorts import PUBLISHED, scans

from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.longitudinal.measurements import check_measurements
from lesion_dynamics.longitudinal.study import study_statistics
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.models import ModelSettings
from lesion_dynamics.settings.study import StudySettings
from lesion_dynamics.workflows.analysis import analyse
from lesion_dynamics.workflows.analysis_inputs import AnalysisInputs

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "statistics.json"
LARGE, SESSIONS = 100_000, 5
REPEATS = 3
logger = logging.getLogger("bench_statistics")


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall-clock seconds of ``work`` and what it gave."""
    begin = time.perf_counter()
    found = work()
    return time.perf_counter() - begin, found


def study_cohort(versions: int, *, seed: int = 7) -> AnalysisInputs:
    """31 MS and 30 NMOSD participants of the published size, measured by ``versions``."""
    table = scans(np.random.default_rng(seed), PUBLISHED, exchangeable=False)
    table = table.assign(days=(table["years"] * 365.25).round())
    rng = np.random.default_rng(seed + 1)
    people = table.drop_duplicates("participant_id")[["participant_id", "diagnosis"]]
    people = people.assign(
        age_years=rng.integers(20, 70, len(people)).astype(float),
        sex=rng.choice(["F", "M"], len(people)), scanner="scanner1",
    )  # fmt: skip
    measured = [
        table.assign(
            model_version=f"segmenter/{version + 1}",
            lesion_volume_mm3=table["lesion_volume_mm3"] * rng.normal(0.9, 0.03, len(table)),
            lesion_count=rng.poisson(8, len(table)), brain_volume_mm3=1.3e6,
        )
        for version in range(versions)
    ]  # fmt: skip
    return _inputs(people, table, pd.concat(measured))


def large_cohort() -> AnalysisInputs:
    """100,000 participants with 5 sessions each."""
    rng = np.random.default_rng(1)
    names = np.char.add("sub-", np.char.zfill(np.arange(LARGE).astype(str), 6))
    people = pd.DataFrame(
        {"participant_id": names, "diagnosis": np.where(np.arange(LARGE) % 2, "NMOSD", "MS"),
         "age_years": rng.normal(45, 10, LARGE).round(), "sex": rng.choice(["F", "M"], LARGE),
         "scanner": "scanner1"}
    )  # fmt: skip
    who = np.repeat(np.arange(LARGE), SESSIONS)
    years = np.tile(np.arange(SESSIONS), LARGE) + rng.uniform(0, 0.5, who.size)
    start, rate = rng.lognormal(7, 1, LARGE), rng.normal(100, 150, LARGE)
    volumes = np.maximum(start[who] + rate[who] * years + rng.normal(0, 30, who.size), 0)
    table = pd.DataFrame(
        {"participant_id": names[who], "session_id": np.tile([f"ses-{s}" for s in range(5)], LARGE),
         "days": (years * 365.25).round(), "lesion_volume_mm3": volumes}
    )  # fmt: skip
    return _inputs(people, table, table.assign(model_version="segmenter/1", lesion_count=5))


def _inputs(people: pd.DataFrame, table: pd.DataFrame, measured: pd.DataFrame) -> AnalysisInputs:
    sessions = pd.DataFrame(
        {"participant_id": table["participant_id"], "session_id": table["session_id"],
         "days_from_baseline": table["days"], "scanner": "scanner1"}
    )  # fmt: skip
    tables = CohortTables(
        participants=people.reset_index(drop=True),
        sessions=sessions.reset_index(drop=True),
        attacks=pd.DataFrame({"participant_id": ["sub-none"], "days_from_baseline": [0.0]}).iloc[
            :0
        ],
        attacks_recorded=True,
    )
    names = [c for c in measured if c in
             ("participant_id", "session_id", "model_version", "lesion_volume_mm3",
              "lesion_count", "brain_volume_mm3")]  # fmt: skip
    checked = check_measurements(measured[names], where="benchmark")
    return AnalysisInputs(tables=tables, measurements=checked, hashes={})


def settings(study: StudySettings) -> AnalyzeSettings:
    """Settings of an analysis that reads nothing from disk."""
    return AnalyzeSettings.model_validate(
        {"cohort": {"name": "bench", "layout": "bids", "root": "."}, "measurements": ["x"],
         "study": study.model_dump(), "output": "results"}
    )  # fmt: skip


def whole_study() -> StudySettings:
    """Every default, and error figures of the segmenter: the correction is timed too."""
    figures = [
        {"diagnosis": "MS", "offset_mm3": 50, "gain": 0.85, "noise_share": 0.05},
        {"diagnosis": "NMOSD", "offset_mm3": 50, "gain": 0.75, "noise_share": 0.05},
    ]
    return StudySettings(name="bench", measurement_error={"figures": figures})


def small() -> dict[str, float]:
    """The published study's size with every draw."""
    study = whole_study()
    one = study_cohort(1)
    whole, result = seconds(lambda: analyse(one, settings(study)))
    changes = result.changes.drop(columns="model_version")
    # Another seed: the draws of the analysis above are remembered.
    again = study.model_copy(update={"seed": study.seed + 1})
    ranks, _ = seconds(lambda: study_statistics(changes, model_version="x", settings=again))
    return {
        "whole analysis, 61 participants, 10,000 and 500 draws (s)": whole,
        "of which rank-based with 10,000 draws (s)": ranks,
    }


def versions() -> dict[str, float]:
    """Ten versions against one, in this process and warm, in wall-clock and processor time."""
    study = whole_study()
    analyse(study_cohort(1), settings(study))
    # Draws are remembered: other cohorts than above, each for the first time.
    ones = [timed(study_cohort(1, seed=20 + turn), study) for turn in range(REPEATS)]
    tens = timed(study_cohort(10, seed=9), study)
    wall, processor = (sum(found) / REPEATS for found in zip(*ones, strict=True))
    return {
        f"one version, warm, mean of {REPEATS} (s)": wall,
        "ten versions with every draw (s)": tens[0],
        "ten versions over one (ratio)": tens[0] / wall,
        "the same in processor time (ratio)": tens[1] / processor,
    }


def timed(inputs: AnalysisInputs, study: StudySettings) -> tuple[float, float]:
    """Wall-clock and processor seconds of one analysis."""
    begin = time.process_time()
    wall, _ = seconds(lambda: analyse(inputs, settings(study)))
    return wall, time.process_time() - begin


def large() -> dict[str, float]:
    """100,000 participants, no resampling, in this process; peak memory with the inputs."""
    study = StudySettings(
        name="bench", models=ModelSettings(bootstrap_draws=0, permutations=0),
        measurement_error={"correction": "none"},
    )  # fmt: skip
    inputs = large_cohort()
    taken, _ = seconds(lambda: analyse(inputs, settings(study)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"100,000 participants, 5 sessions (s)": taken, "their peak memory (GiB)": peak}


def against_others() -> dict[str, float]:
    """Ratios of times: above 1, the other one is slower."""
    import warnings

    from scipy.stats import bootstrap
    from statsmodels.regression.mixed_linear_model import MixedLM

    from lesion_dynamics.longitudinal.mixed_fit import fit_mixed
    from lesion_dynamics.longitudinal.mixed_likelihood import participant_sums
    from lesion_dynamics.longitudinal.participant_bootstrap import (
        bca_interval,
        pseudomedians,
        resampled,
    )

    table = pd.read_csv(ROOT / "tests/reference/tables/volumes_study.tsv", sep="\t")
    nmosd = (table["diagnosis"] == "NMOSD").to_numpy(dtype=float)
    years = table["years"].to_numpy()
    fixed = np.column_stack([np.ones(len(table)), years, nmosd, years * nmosd])
    random = fixed[:, :2]
    codes = pd.factorize(table["participant_id"])[0].astype(np.int64)

    def statsmodels() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            MixedLM(table["volume"], fixed, groups=codes, exog_re=random).fit(
                method=["lbfgs", "powell"]
            )

    def own() -> None:
        fit_mixed(participant_sums(table["volume"].to_numpy(), fixed, random, codes))

    values = np.random.default_rng(3).normal(100, 80, 31)

    def over_axis(rows: np.ndarray, axis: int) -> np.ndarray:
        last = np.moveaxis(rows, axis, -1)
        found = pseudomedians(last.reshape(-1, last.shape[-1]))
        return np.asarray(found.reshape(last.shape[:-1]))

    def scipys() -> None:
        bootstrap(
            (values,), over_axis, n_resamples=10_000, batch=500,
            rng=np.random.default_rng(1), vectorized=True,
        )  # fmt: skip

    seeds = count()

    def own_bca() -> None:
        # Another seed each time: the same one is remembered.
        draws, jackknife = resampled(pseudomedians, values, draws=10_000, seed=next(seeds))
        bca_interval(float(pseudomedians(values[None])[0]), draws, jackknife, level=0.95)

    best = {
        work.__name__: min(seconds(work)[0] for _ in range(3))
        for work in (statsmodels, own, scipys, own_bca)
    }
    return {
        "mixed model, both optimisers (s)": best["own"],
        "statsmodels MixedLM over it (ratio)": best["statsmodels"] / best["own"],
        "BCa of a pseudomedian, 10,000 draws (s)": best["own_bca"],
        "scipy bootstrap over it (ratio)": best["scipys"] / best["own_bca"],
    }


def help_time() -> dict[str, float]:
    """Seconds until analyze.py --help has answered (best of 3)."""
    command = [sys.executable, str(ROOT / "analyze.py"), "--help"]

    def ask() -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)

    return {"analyze.py --help (s)": min(seconds(ask)[0] for _ in range(3))}


PARTS: dict[str, Callable[[], dict[str, float]]] = {
    "help": help_time, "large": large, "small": small, "versions": versions,
    "others": against_others,
}  # fmt: skip


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs="+", default=list(PARTS), choices=list(PARTS))
    parts = parser.parse_args().part
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if len(parts) > 1:
        # Peak memory and remembered draws are those of a process: each part has its own.
        for part in parts:
            subprocess.run([sys.executable, __file__, "--part", part], check=True)
        return
    found = PARTS[parts[0]]()
    width = max(map(len, found))
    logger.info("\n".join(f"{name:<{width}}  {value:8.2f}" for name, value in found.items()))
    RESULTS.parent.mkdir(exist_ok=True)
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    machine = {"cores": os.cpu_count(), "threads": os.environ.get("OMP_NUM_THREADS", "all")}
    rounded = {name: round(value, 3) for name, value in found.items()}
    RESULTS.write_text(json.dumps(kept | rounded | {"machine": machine}, indent=2) + "\n")


if __name__ == "__main__":
    main()
