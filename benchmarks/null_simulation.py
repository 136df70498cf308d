"""False-positive rates and coverage over simulated cohorts of the published study's size.

    python benchmarks/null_simulation.py --cohorts 5000 [--parts coverage ranks mixed counts]

Writes benchmarks/results/null_simulation.json. Rates with their Monte Carlo standard error: of
5,000 cohorts it is 0.003 at 0.05.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
import pandas as pd
from simulated_cohorts import N_MS, N_NMOSD, NULL, PUBLISHED, changes, rates, scans

from lesion_dynamics.longitudinal.between import cliffs_delta, shift
from lesion_dynamics.longitudinal.count_statistics import count_rows
from lesion_dynamics.longitudinal.estimate import Estimate
from lesion_dynamics.longitudinal.growth_model import growth
from lesion_dynamics.longitudinal.medians import median
from lesion_dynamics.longitudinal.new_lesions import NewLesions as CountedLesions
from lesion_dynamics.longitudinal.paired import pseudomedian
from lesion_dynamics.longitudinal.pairwise import (
    difference_order_statistics,
    median_ranks,
    walsh_order_statistics,
)
from lesion_dynamics.longitudinal.permutation import permuted_difference
from lesion_dynamics.longitudinal.resampled_estimates import (
    between_resampled,
    pseudomedian_resampled,
)
from lesion_dynamics.settings.models import ModelSettings
from lesion_dynamics.settings.study import StudySettings

RESULTS = Path(__file__).parent / "results" / "null_simulation.json"
LEVEL = 0.95
ALPHA = 0.05
PERMUTATIONS = 999
NEW_LESIONS = ((1.0, 1.0), (3.0, 0.7))
"""New lesions a year and theta (variance = m + m^2 / theta)."""
POPULATION = 200_000
logger = logging.getLogger("null_simulation")


class Tally:
    """Counts of rejections or of covered truths, and of cohorts where there was none to count."""

    def __init__(self) -> None:
        self.hits: dict[str, list[bool]] = {}
        self.missing: dict[str, int] = {}

    def add(self, name: str, value: float, hit: bool) -> None:
        """Count one cohort; a missing value is no hit and is counted apart."""
        if np.isfinite(value):
            self.hits.setdefault(name, []).append(hit)
        else:
            self.missing[name] = self.missing.get(name, 0) + 1

    def summary(self) -> dict[str, dict[str, float]]:
        """Rate, its standard error, cohorts counted, cohorts without a value."""
        found = {}
        for name, hits in self.hits.items():
            rate = float(np.mean(hits))
            error = float(np.sqrt(rate * (1 - rate) / len(hits)))
            found[name] = {
                "rate": round(rate, 4),
                "standard_error": round(error, 4),
                "cohorts": len(hits),
                "without_value": self.missing.get(name, 0),
            }
        return found


def study_settings(draws: int) -> StudySettings:
    """Rank statistics with few draws, models without resampling."""
    models = ModelSettings(bootstrap_draws=0, covariates=())
    return StudySettings(name="simulated", bootstrap_draws=draws, models=models)


def null_rates(cohorts: int, seed: int) -> Tally:
    """Rejections at 0.05 where there is nothing to find."""
    tally, rng = Tally(), np.random.default_rng(seed)
    for cohort in range(cohorts):
        ms, nmosd = changes(rng, NULL, exchangeable=False)
        for name, values in (("MS", ms), ("NMOSD", nmosd)):
            p = pseudomedian(values, zero_method="pratt", level=LEVEL).p_value
            tally.add(f"signed rank {name} (pratt, exact)", p, p <= ALPHA)
        one, other = changes(rng, NULL, exchangeable=True)
        p = shift(one, other, level=LEVEL).p_value
        tally.add("Mann-Whitney (exact)", p, p <= ALPHA)
        p = shift(ms, nmosd, level=LEVEL).p_value
        tally.add("Mann-Whitney, same centre but unequal spread", p, p <= ALPHA)
        p = permuted_difference(one, other, permutations=PERMUTATIONS, seed=cohort).p_value
        tally.add("permutation", p, p <= ALPHA)
        p = permuted_difference(ms, nmosd, permutations=PERMUTATIONS, seed=cohort).p_value
        tally.add("permutation, same mean but unequal spread", p, p <= ALPHA)
    return tally


def null_of_the_mixed_model(cohorts: int, seed: int) -> Tally:
    """The same for the mixed model with its fallback."""
    tally, rng, settings = Tally(), np.random.default_rng(seed), study_settings(100)
    for _ in range(cohorts):
        for name, table in (
            ("", scans(rng, NULL, exchangeable=True)),
            (", unequal spread", scans(rng, NULL, exchangeable=False)),
        ):
            add_growth(tally, table, settings, name)
    return tally


def null_of_the_counts(cohorts: int, seed: int) -> Tally:
    """Negative-binomial counts with the same rate in both diagnoses, over one to five years."""
    tally, rng = Tally(), np.random.default_rng(seed)
    settings = study_settings(100)
    names = [f"sub-{i:02d}" for i in range(N_MS + N_NMOSD)]
    people = pd.DataFrame(
        {"participant_id": names, "diagnosis": ["MS"] * N_MS + ["NMOSD"] * N_NMOSD}
    )
    for _ in range(cohorts):
        for rate, theta in NEW_LESIONS:
            years = rng.uniform(1, 5, len(names))
            counts = rng.poisson(rate * years * rng.gamma(theta, 1 / theta, len(names)))
            table = pd.DataFrame({"participant_id": names, "new_lesions": counts, "years": years})
            ratio = list(count_rows(CountedLesions(table, ""), people, settings))[-1].estimate
            name = f"new lesions, rate ratio ({rate:g} a year, theta {theta:g})"
            tally.add(name, ratio.p_value, ratio.p_value <= ALPHA)
    return tally


def add_growth(tally: Tally, table: pd.DataFrame, settings: StudySettings, name: str) -> None:
    """Count the mixed model of one cohort, and whether it fell back."""
    people = table.drop_duplicates("participant_id")[["participant_id", "diagnosis"]]
    people = people.assign(age_years=np.nan, sex=None, scanner=None)
    found = growth(
        table.drop(columns="diagnosis"), people, settings=settings.models, level=LEVEL, seed=1
    )
    p = found.difference.p_value
    tally.add(f"mixed model, slope difference{name}", p, p <= ALPHA)
    if "intercept and slope (REML)" not in found.difference.test:
        tally.missing["mixed model: fell back" + name] = (
            tally.missing.get("mixed model: fell back" + name, 0) + 1
        )


def population_truth() -> dict[str, float]:
    """Values of the estimates in a cohort of 200,000 a diagnosis."""
    rng = np.random.default_rng(99)
    ms = rates(rng, "MS", POPULATION, PUBLISHED)[1]
    nmosd = rates(rng, "NMOSD", POPULATION, PUBLISHED)[1]
    few = 20_000
    truth = {}
    for name, values in (("MS", ms), ("NMOSD", nmosd)):
        truth[f"median {name}"] = float(np.median(values))
        ranks = median_ranks(few * (few + 1) // 2)
        truth[f"pseudomedian {name}"] = float(np.mean(walsh_order_statistics(values[:few], ranks)))
    ranks = median_ranks(few * few)
    truth["shift"] = float(np.mean(difference_order_statistics(ms[:few], nmosd[:few], ranks)))
    truth["Cliff's delta"] = cliffs_delta(ms, nmosd, level=LEVEL).estimate
    return truth


def coverage(cohorts: int, seed: int, *, draws: int, resampled: int) -> tuple[Tally, dict]:
    """Share of intervals that hold the truth, and how often the published pattern comes out."""
    truth, tally, rng = population_truth(), Tally(), np.random.default_rng(seed)
    settings = study_settings(draws)

    def covers(name: str, key: str, found: Estimate) -> None:
        inside = found.interval_low <= truth[key] <= found.interval_high
        tally.add(name, found.interval_low, inside)

    for cohort in range(cohorts):
        ms, nmosd = changes(rng, PUBLISHED, exchangeable=False)
        typical = {}
        for name, values in (("MS", ms), ("NMOSD", nmosd)):
            typical[name] = pseudomedian(values, zero_method="pratt", level=LEVEL)
            covers(f"pseudomedian {name}, signed rank", f"pseudomedian {name}", typical[name])
        moved, delta = shift(ms, nmosd, level=LEVEL), cliffs_delta(ms, nmosd, level=LEVEL)
        covers("shift, Mann-Whitney", "shift", moved)
        covers("Cliff's delta, Feng and Cliff", "Cliff's delta", delta)
        pattern = (
            typical["MS"].p_value < 0.001, typical["NMOSD"].p_value > ALPHA,
            moved.p_value < ALPHA,
        )  # fmt: skip
        for name, hit in zip(
            ("pattern: MS p<0.001", "pattern: NMOSD p>0.05", "pattern: rates differ p<0.05"),
            pattern, strict=True,
        ):  # fmt: skip
            tally.add(name, 0.0, bool(hit))
        tally.add("pattern: all three", 0.0, all(pattern))
        if cohort >= resampled:
            continue
        for name, values in (("MS", ms), ("NMOSD", nmosd)):
            found = median(values, level=LEVEL, draws=draws, seed=cohort)
            covers(f"median {name}, BCa", f"median {name}", found)
            again = pseudomedian_resampled(typical[name], values, settings)
            covers(f"pseudomedian {name}, BCa", f"pseudomedian {name}", again)
        covers("shift, BCa", "shift", between_resampled(moved, "shift", ms, nmosd, settings))
        covers(
            "Cliff's delta, BCa", "Cliff's delta",
            between_resampled(delta, "Cliff's delta", ms, nmosd, settings),
        )  # fmt: skip
    return tally, truth


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=5000)
    parser.add_argument("--resampled", type=int, default=1000)
    parser.add_argument("--parts", nargs="+", default=["coverage", "ranks", "mixed", "counts"])
    parser.add_argument("--seed", type=int, default=433)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    begin = time.perf_counter()
    cohorts, seed = arguments.cohorts, arguments.seed
    result = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    result |= {"cohorts": cohorts, "participants": {"MS": 31, "NMOSD": 30}}
    if "coverage" in arguments.parts:
        covered, truth = coverage(cohorts, seed + 1, draws=2000, resampled=arguments.resampled)
        result["coverage_at_0.95_and_pattern"] = covered.summary()
        result["true_values_mm3_per_year"] = {k: round(v, 4) for k, v in truth.items()}
    if "ranks" in arguments.parts:
        result["false_positive_rate_at_0.05"] = null_rates(cohorts, seed).summary()
    if "mixed" in arguments.parts:
        null = null_of_the_mixed_model(cohorts, seed + 2)
        result["false_positive_rate_at_0.05, mixed model"] = null.summary()
        result["mixed_model_fell_back"] = {
            name: count for name, count in null.missing.items() if "fell back" in name
        }
    if "counts" in arguments.parts:
        null = null_of_the_counts(cohorts, seed + 3)
        result["false_positive_rate_at_0.05, new lesions"] = null.summary()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    logger.info("%s\n%.0f s", json.dumps(result, indent=2), time.perf_counter() - begin)


if __name__ == "__main__":
    main()
