"""How much of the segmenter's bias the corrected estimates take back, and what that costs.

    python benchmarks/error_correction.py --set proof --cohorts 1000
    python benchmarks/error_correction.py --set proof --intervals 100

Cohorts are measured with the error figures of a segmenter and corrected with the same figures.
Two sets of scenarios, kept apart: with ``choice`` the method and its constants were chosen;
``proof`` has other shapes of growth, sizes, error figures and seeds, and was run once they were
fixed. Adds to benchmarks/results/error_correction.json: bias and spread of the uncorrected and of
the corrected estimates against the same cohort without error, and the ratio of the biases; with
``--intervals`` the coverage of the corrected intervals, over as many further cohorts. What is
there is not run again.
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
INTERVAL_DRAWS = 200
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


def of_scenario(scenario: Scenario, *, cohorts: int, seed: int) -> dict[str, dict[str, float]]:
    """Bias, spread and ratio of each statistic."""
    rng = np.random.default_rng(seed)
    (ms, *ms_rates), (nmosd, *nmosd_rates) = cohorts_of(rng, scenario, cohorts)
    drawn = [true_changes(group, draws=DRAWS, rng=rng) for group in (ms, nmosd)]
    order = MeasurementErrorSettings().simex_order
    each = [_rates_of(ms, nmosd, at)[0] for at in range(cohorts)]
    found = {}
    for name, statistic in STATISTICS.items():
        truth, naive = (
            statistic(one, other) for one, other in zip(ms_rates, nmosd_rates, strict=True)
        )
        flat = [group.reshape(cohorts * DRAWS, -1) for group in drawn]
        corrected = statistic(*flat).reshape(cohorts, DRAWS).mean(axis=1)
        simexed = np.array([simex(rates, name, order=order) for rates in each])
        errors = {
            "uncorrected": naive - truth,
            "deconvolution": corrected - truth,
            "simex": simexed - truth,
        }
        found[name] = _summary(errors, float(truth.mean()))
    return found


def _rates_of(ms: Measured, nmosd: Measured, at: int) -> tuple[Rates, tuple[Floats, Floats]]:
    rates = Rates(ms.changes[at], nmosd.changes[at], ms.noise[at], nmosd.noise[at])
    return rates, (ms.load[at], nmosd.load[at])


def coverage(scenario: Scenario, *, cohorts: int, seed: int) -> dict[str, float]:
    """Share of deconvolved intervals that hold the population's value, and the cohorts."""
    rng = np.random.default_rng([seed, 1])
    truth = population(rng, scenario)
    (ms, *_), (nmosd, *_) = cohorts_of(rng, scenario, cohorts)
    held: dict[str, list[bool]] = {name: [] for name in STATISTICS}
    for at in range(cohorts):
        rates, loads = _rates_of(ms, nmosd, at)
        for name, own in deconvolved(rates, loads, draws=INTERVAL_DRAWS, seed=at).items():
            low, high = np.quantile(own.resampled, [0.025, 0.975])
            held[name].append(bool(low <= truth[name] <= high))
    return {
        **{name: round(float(np.mean(own)), 3) for name, own in held.items()},
        "cohorts": cohorts,
    }


def _summary(errors: dict[str, Floats], truth: float) -> dict[str, float]:
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
    return found


def main() -> None:
    """Run what is not there yet, and write after each scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=sorted(SETS), default="proof", dest="chosen")
    parser.add_argument("--cohorts", type=int, default=0)
    parser.add_argument("--intervals", type=int, default=0)
    parser.add_argument("--scenarios", type=int, nargs="*", help="numbers; all without it")
    parser.add_argument("--minutes", type=float, default=8.0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    begin = time.perf_counter()
    for at, (title, scenario) in enumerate(SETS[arguments.chosen].items()):
        if arguments.scenarios and at not in arguments.scenarios:
            continue
        if time.perf_counter() - begin > 60 * arguments.minutes:
            break
        kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        own = kept.setdefault(arguments.chosen, {}).setdefault(title, _described(scenario))
        seed = SEEDS[arguments.chosen] + at
        if own.get("cohorts", 0) < arguments.cohorts:
            own["estimates"] = of_scenario(scenario, cohorts=arguments.cohorts, seed=seed)
            own["cohorts"] = arguments.cohorts
        if own.get("coverage", {}).get("cohorts", 0) < arguments.intervals:
            own["coverage"] = coverage(scenario, cohorts=arguments.intervals, seed=seed)
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
        rows = own.get("estimates", {}).items()
        ratios = {name: (row["ratio_deconvolution"], row["ratio_simex"]) for name, row in rows}
        logger.info("%s %s %s", title, ratios, own.get("coverage", ""))


def _described(scenario: Scenario) -> dict[str, Any]:
    return {
        "participants": dict(zip(("MS", "NMOSD"), scenario.sizes, strict=True)),
        "shape": scenario.shape,
        "figures": [figure.model_dump() for figure in scenario.figures.values()],
    }


if __name__ == "__main__":
    main()
