"""How much of the segmenter's bias the corrected estimates take back, and what that costs.

    python benchmarks/error_correction.py --set proof --cohorts 1000 [--minutes 8]

Cohorts are measured with the error figures of a segmenter and corrected with the same figures.
Two sets of scenarios, kept apart: with ``choice`` the method and its constants were chosen;
``proof`` has other shapes of growth, sizes, error figures and seeds, and was run once they were
fixed. Writes benchmarks/results/error_correction.json: bias and spread of the uncorrected and of
the corrected estimates against the same cohort without error, the ratio of the biases, and the
coverage of the corrected intervals (of the first ``--resampled`` cohorts).
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from growth_shapes import SHAPES
from simulated_cohorts import N_MS, N_NMOSD

from lesion_dynamics.longitudinal.corrected_estimates import deconvolved
from lesion_dynamics.longitudinal.deconvolution import Measured, true_changes
from lesion_dynamics.longitudinal.simex import STATISTICS, Rates, simex
from lesion_dynamics.settings.measurement_error import MeasurementErrorSettings, VolumeErrorFigures

RESULTS = Path(__file__).parent / "results" / "error_correction.json"
POPULATION = 3000
DRAWS = 16
"""Of true changes a cohort: enough where a thousand cohorts are averaged."""
Figures = dict[str, VolumeErrorFigures]
Floats = np.ndarray[Any, np.dtype[np.float64]]
logger = logging.getLogger("error_correction")


@dataclass(frozen=True)
class Scenario:
    """How true changes are shaped (`growth_shapes.SHAPES`), who takes part, what measures them."""

    shape: str
    figures: Figures
    sizes: tuple[int, int] = (N_MS, N_NMOSD)


def figures(
    *, gain: tuple[float, float], share: tuple[float, float],
    offset: tuple[float, float] = (50, 50), floor: tuple[float, float] = (0, 0),
) -> Figures:  # fmt: skip
    """Error figures of MS and of NMOSD."""
    return {
        name: VolumeErrorFigures(
            diagnosis=name, offset_mm3=offset[i], gain=gain[i], noise_mm3=floor[i],
            noise_share=share[i],
        )
        for i, name in enumerate(("MS", "NMOSD"))
    }  # fmt: skip


# measurement_error.tsv of two runs of `make study`: five-minute models of the embedded cohort.
MEASURED = figures(gain=(0.49, 0.605), share=(0.11, 0.145), offset=(270, 114), floor=(120, 52))
MEASURED_AGAIN = figures(
    gain=(0.431, 0.518), share=(0.102, 0.140), offset=(273, 169), floor=(140, 101)
)
_FIVE = figures(gain=(0.85, 0.75), share=(0.05, 0.05))
_TEN = figures(gain=(0.85, 0.75), share=(0.1, 0.1))
_UNLIKE = figures(gain=(0.7, 0.9), share=(0.08, 0.08), offset=(100, 20))
_ALIKE = figures(gain=(0.6, 0.6), share=(0.12, 0.12), offset=(150, 80), floor=(60, 40))
SETS = {
    "choice": {
        "published figures, error as measured": Scenario("published", MEASURED),
        "published figures, gain 0.85 and 0.75, noise 5%": Scenario("published", _FIVE),
        "published figures, gain 0.85 and 0.75, noise 10%": Scenario("published", _TEN),
        "normal, error as measured": Scenario("normal", MEASURED),
        "normal, gain 0.85 and 0.75, noise 10%": Scenario("normal", _TEN),
    },
    "proof": {
        "published figures, error as measured again": Scenario("published", MEASURED_AGAIN),
        "phantom's course, error as measured": Scenario("phantom", MEASURED),
        "phantom's course, error as measured again": Scenario("phantom", MEASURED_AGAIN),
        "exponential, error as measured again": Scenario("exponential", MEASURED_AGAIN),
        "two kinds of course, error as measured again": Scenario("two kinds", MEASURED_AGAIN),
        "phantom's course, gain 0.7 and 0.9, noise 8%": Scenario("phantom", _UNLIKE, (20, 20)),
        "exponential, gain 0.6 and 0.6, noise 12%": Scenario("exponential", _ALIKE, (45, 25)),
        "two kinds of course, gain 0.6 and 0.6, noise 12%": Scenario("two kinds", _ALIKE),
    },
}
SEEDS = {"choice": 7, "proof": 20250921}


@dataclass(frozen=True)
class Seen:
    """One diagnosis of a cohort: (n,) true and measured rates, noise of these, and mean volume."""

    true: Floats
    rates: Floats
    noise: Floats
    load: Floats


def measured(
    rng: np.random.Generator, shape: str, diagnosis: str, n: int, own: VolumeErrorFigures
) -> Seen:
    """Participants with two scans; rates, noise and loads are calibrated but for the rates."""
    start, rate = SHAPES[shape](rng, diagnosis, n)
    years = rng.uniform(1, 5, n)
    ends = np.array([start, np.maximum(start + rate * years, 0)])
    expected = own.offset_mm3 + own.gain * ends
    spread = np.hypot(own.noise_mm3, own.noise_share * expected)
    seen = np.maximum(expected + spread * rng.standard_normal(ends.shape), 0)
    # What analyze.py knows: the noise at the measured volumes.
    variance = 2 * own.noise_mm3**2 + own.noise_share**2 * (seen**2).sum(axis=0)
    return Seen(
        true=(ends[1] - ends[0]) / years,
        rates=(seen[1] - seen[0]) / years,
        noise=np.sqrt(variance) / years / own.gain,
        load=(seen.mean(axis=0) - own.offset_mm3) / own.gain,
    )


def population(rng: np.random.Generator, scenario: Scenario) -> dict[str, float]:
    """The values that the intervals should hold: of many participants without error."""
    true = [
        measured(rng, scenario.shape, name, POPULATION, own).true
        for name, own in scenario.figures.items()
    ]
    parts = [values.reshape(10, -1) for values in true]
    # Ten parts of 300: all pairs of 3,000 would not fit.
    return {name: float(statistic(*parts).mean()) for name, statistic in STATISTICS.items()}


def cohorts_of(
    rng: np.random.Generator, scenario: Scenario, cohorts: int
) -> list[tuple[Measured, Floats, Floats]]:
    """By diagnosis: what is measured, calibrated; true and uncorrected rates (cohorts, n)."""
    found = []
    for (name, own), n in zip(scenario.figures.items(), scenario.sizes, strict=True):
        groups = [measured(rng, scenario.shape, name, n, own) for _ in range(cohorts)]
        rates, noise, load = (
            np.array([getattr(group, part) for group in groups])
            for part in ("rates", "noise", "load")
        )
        seen = Measured(changes=rates / own.gain, noise=noise, load=load)
        found.append((seen, np.array([group.true for group in groups]), rates))
    return found


def of_scenario(
    scenario: Scenario, *, cohorts: int, resampled: int, seed: int
) -> dict[str, dict[str, float]]:
    """Bias, spread, ratio and coverage of each statistic."""
    rng = np.random.default_rng(seed)
    population_values = population(rng, scenario)
    (ms, *ms_rates), (nmosd, *nmosd_rates) = cohorts_of(rng, scenario, cohorts)
    drawn = [true_changes(group, draws=DRAWS, rng=rng) for group in (ms, nmosd)]
    errors: dict[str, dict[str, Floats]] = {name: {} for name in STATISTICS}
    order = MeasurementErrorSettings().simex_order
    each = [_rates_of(ms, nmosd, at) for at in range(cohorts)]
    for name, statistic in STATISTICS.items():
        truth, naive = (
            statistic(one, other) for one, other in zip(ms_rates, nmosd_rates, strict=True)
        )
        flat = [group.reshape(cohorts * DRAWS, -1) for group in drawn]
        corrected = statistic(*flat).reshape(cohorts, DRAWS).mean(axis=1)
        simexed = np.array([simex(rates, name, order=order) for rates, _ in each])
        errors[name] = {
            "uncorrected": naive - truth,
            "deconvolution": corrected - truth,
            "simex": simexed - truth,
        }
    held = _covered(each[:resampled], population_values)
    return {
        name: _summary(own, population_values[name], held[name]) for name, own in errors.items()
    }


def _rates_of(ms: Measured, nmosd: Measured, at: int) -> tuple[Rates, tuple[Floats, Floats]]:
    rates = Rates(ms.changes[at], nmosd.changes[at], ms.noise[at], nmosd.noise[at])
    return rates, (ms.load[at], nmosd.load[at])


def _covered(
    each: list[tuple[Rates, tuple[Floats, Floats]]], truth: dict[str, float]
) -> dict[str, list[bool]]:
    held: dict[str, list[bool]] = {name: [] for name in STATISTICS}
    for at, (rates, loads) in enumerate(each):
        for name, own in deconvolved(rates, loads, draws=200, seed=at).items():
            low, high = np.quantile(own.resampled, [0.025, 0.975])
            held[name].append(bool(low <= truth[name] <= high))
    return held


def _summary(errors: dict[str, Floats], truth: float, held: list[bool]) -> dict[str, float]:
    naive = errors["uncorrected"]
    bias, n = float(naive.mean()), naive.size
    found = {
        "true_value": round(truth, 4),
        "bias_uncorrected": round(bias, 4),
        "spread_uncorrected": round(float(naive.std(ddof=1)), 4),
    }
    for method in ("deconvolution", "simex"):
        own = errors[method]
        scatter = float((own - naive * own.mean() / bias).std(ddof=1)) / np.sqrt(n)
        found |= {
            f"bias_{method}": round(float(own.mean()), 4),
            f"spread_{method}": round(float(own.std(ddof=1)), 4),
            f"ratio_{method}": round(float(abs(own.mean() / bias)), 3),
            f"standard_error_of_ratio_{method}": round(scatter / abs(bias), 3),
        }
    if held:
        found["coverage_of_deconvolved_interval"] = round(float(np.mean(held)), 3)
    return found


def main() -> None:
    """Run and write; scenarios that are there with as many cohorts are not run again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=sorted(SETS), default="proof", dest="chosen")
    parser.add_argument("--cohorts", type=int, default=1000)
    parser.add_argument("--resampled", type=int, default=80)
    parser.add_argument("--minutes", type=float, default=8.0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    begin = time.perf_counter()
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for at, (title, scenario) in enumerate(SETS[arguments.chosen].items()):
        own = kept.setdefault(arguments.chosen, {})
        if own.get(title, {}).get("cohorts", 0) >= arguments.cohorts:
            continue
        if time.perf_counter() - begin > 60 * arguments.minutes:
            break
        estimates = of_scenario(
            scenario, cohorts=arguments.cohorts, resampled=arguments.resampled,
            seed=SEEDS[arguments.chosen] + at,
        )  # fmt: skip
        own[title] = {
            "cohorts": arguments.cohorts, "resampled": arguments.resampled,
            "participants": dict(zip(("MS", "NMOSD"), scenario.sizes, strict=True)),
            "figures": [f.model_dump() for f in scenario.figures.values()],
            "estimates": estimates,
        }  # fmt: skip
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
        ratios = {name: row["ratio_deconvolution"] for name, row in estimates.items()}
        logger.info("%s %s %.0f s", title, ratios, time.perf_counter() - begin)


if __name__ == "__main__":
    main()
