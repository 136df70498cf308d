"""How much of the segmenter's bias the corrected estimates take back, and what that costs.

    python benchmarks/error_correction.py --cohorts 1000

Cohorts of the published size are measured with the error figures of a segmenter and corrected
with the same figures. Writes benchmarks/results/error_correction.json: bias and spread of the
uncorrected and of the corrected estimate against the same cohort without error, the ratio of the
biases, and the coverage of the corrected interval.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
from simulated_cohorts import N_MS, N_NMOSD, PUBLISHED, rates

from lesion_dynamics.longitudinal.simex import STATISTICS, Rates, simex, simex_draws
from lesion_dynamics.settings.measurement_error import MeasurementErrorSettings, VolumeErrorFigures

RESULTS = Path(__file__).parent / "results" / "error_correction.json"
Figures = dict[str, VolumeErrorFigures]
logger = logging.getLogger("error_correction")


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


SCENARIOS = {
    # measurement_error.tsv of `make study`: the five-minute model of the embedded cohort.
    "as measured on the embedded cohort": figures(
        gain=(0.49, 0.605), share=(0.11, 0.145), offset=(270, 114), floor=(120, 52)
    ),
    "gain 0.85 and 0.75, noise 5%": figures(gain=(0.85, 0.75), share=(0.05, 0.05)),
    "gain 0.85 and 0.75, noise 10%": figures(gain=(0.85, 0.75), share=(0.1, 0.1)),
}


def measured(
    rng: np.random.Generator, diagnosis: str, n: int, own: VolumeErrorFigures
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True rates, measured rates, and the standard deviation of the noise of the latter."""
    start, rate = rates(rng, diagnosis, n, PUBLISHED)
    years = rng.uniform(1, 5, n)
    ends = start, np.maximum(start + rate * years, 0)
    seen = []
    for volumes in ends:
        expected = own.offset_mm3 + own.gain * volumes
        noise = np.hypot(own.noise_mm3, own.noise_share * expected)
        seen.append(np.maximum(expected + noise * rng.standard_normal(n), 0))
    variance = 2 * own.noise_mm3**2 + own.noise_share**2 * (seen[0] ** 2 + seen[1] ** 2)
    return (ends[1] - ends[0]) / years, (seen[1] - seen[0]) / years, np.sqrt(variance) / years


def of_scenario(own: Figures, cohorts: int, seed: int, order: int) -> dict[str, dict[str, float]]:
    """Bias, spread and coverage of each statistic."""
    rng = np.random.default_rng(seed)
    # The value that the intervals should hold: of 3,000 participants a diagnosis without error.
    ms = measured(rng, "MS", 3000, own["MS"])[0]
    nmosd = measured(rng, "NMOSD", 3000, own["NMOSD"])[0]
    population = {k: float(f(ms[None], nmosd[None])[0]) for k, f in STATISTICS.items()}
    errors: dict[str, list[tuple[float, float, bool]]] = {name: [] for name in STATISTICS}
    for _ in range(cohorts):
        one = measured(rng, "MS", N_MS, own["MS"])
        other = measured(rng, "NMOSD", N_NMOSD, own["NMOSD"])
        gains = own["MS"].gain, own["NMOSD"].gain
        calibrated = Rates(
            ms=one[1] / gains[0], nmosd=other[1] / gains[1],
            ms_noise=one[2] / gains[0], nmosd_noise=other[2] / gains[1],
        )  # fmt: skip
        for name, statistic in STATISTICS.items():
            truth = float(statistic(one[0][None], other[0][None])[0])
            naive = float(statistic(one[1][None], other[1][None])[0])
            corrected = simex(calibrated, name, order=order)
            drawn = simex_draws(calibrated, name, order=order, draws=200, rng=rng)
            low, high = np.quantile(drawn, [0.025, 0.975])
            covered = bool(low <= population[name] <= high)
            errors[name].append((naive - truth, corrected - truth, covered))
    return {name: _summary(np.array(found, dtype=float)) for name, found in errors.items()}


def _summary(found: np.ndarray) -> dict[str, float]:
    naive, corrected, covered = found.mean(axis=0)
    spread = found.std(axis=0, ddof=1)
    error = spread[1] / np.sqrt(len(found))
    return {
        "bias_uncorrected": round(float(naive), 4),
        "bias_corrected": round(float(corrected), 4),
        "ratio": round(float(abs(corrected / naive)), 3),
        "standard_error_of_ratio": round(float(error / abs(naive)), 3),
        "spread_uncorrected": round(float(spread[0]), 4),
        "spread_corrected": round(float(spread[1]), 4),
        "coverage_of_corrected_interval": round(float(covered), 3),
    }


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--order", type=int, default=MeasurementErrorSettings().simex_order)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found: dict[str, dict[str, object]] = {
        name: {
            **of_scenario(own, arguments.cohorts, arguments.seed, arguments.order),
            "figures": [figure.model_dump() for figure in own.values()],
        }
        for name, own in SCENARIOS.items()
    }
    found["run"] = {"cohorts": arguments.cohorts, "simex_order": arguments.order}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    logger.info(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
