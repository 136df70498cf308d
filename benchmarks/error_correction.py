"""How much of the segmenter's bias the corrected estimates take back.

    python benchmarks/error_correction.py --cohorts 400

Cohorts of the published size are measured with a gain of 0.85 in MS and 0.75 in NMOSD, an offset
of 50 mm3 and noise of 5% of the volume. Writes benchmarks/results/error_correction.json: bias of
the uncorrected and of the corrected estimate against the same cohort without error, their ratio,
and the coverage of the corrected interval.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
from simulated_cohorts import N_MS, N_NMOSD, PUBLISHED, rates

from lesion_dynamics.longitudinal.simex import STATISTICS, Rates, simex, simex_draws

RESULTS = Path(__file__).parent / "results" / "error_correction.json"
GAIN = {"MS": 0.85, "NMOSD": 0.75}
OFFSET_MM3 = 50.0
logger = logging.getLogger("error_correction")


def measured(
    rng: np.random.Generator, diagnosis: str, n: int, noise_share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True rates, measured rates, and the standard deviation of the noise of the latter."""
    start, rate = rates(rng, diagnosis, n, PUBLISHED)
    years = rng.uniform(1, 5, n)
    ends = start, np.maximum(start + rate * years, 0)
    seen = [
        np.maximum(
            OFFSET_MM3 * (v > 0) + GAIN[diagnosis] * v * (1 + rng.normal(0, noise_share, n)), 0
        )
        for v in ends
    ]
    noise = noise_share * np.hypot(*seen) / years
    return (ends[1] - ends[0]) / years, (seen[1] - seen[0]) / years, noise


def of_noise(noise_share: float, cohorts: int, seed: int) -> dict[str, dict[str, float]]:
    """Bias and coverage of each statistic at one level of noise."""
    rng = np.random.default_rng(seed)
    # The value that the intervals should hold: of 3,000 participants a diagnosis without error.
    ms = measured(rng, "MS", 3000, noise_share)[0]
    nmosd = measured(rng, "NMOSD", 3000, noise_share)[0]
    population = {k: float(f(ms[None], nmosd[None])[0]) for k, f in STATISTICS.items()}
    errors: dict[str, list[tuple[float, float, bool]]] = {name: [] for name in STATISTICS}
    for _ in range(cohorts):
        one = measured(rng, "MS", N_MS, noise_share)
        other = measured(rng, "NMOSD", N_NMOSD, noise_share)
        own = Rates(
            ms=one[1] / GAIN["MS"], nmosd=other[1] / GAIN["NMOSD"],
            ms_noise=one[2] / GAIN["MS"], nmosd_noise=other[2] / GAIN["NMOSD"],
        )  # fmt: skip
        for name, statistic in STATISTICS.items():
            truth = float(statistic(one[0][None], other[0][None])[0])
            naive = float(statistic(one[1][None], other[1][None])[0])
            corrected = simex(own, statistic, draws=200, rng=rng)
            drawn = simex_draws(own, statistic, draws=200, rng=rng)
            low, high = np.quantile(drawn, [0.025, 0.975])
            covered = bool(low <= population[name] <= high)
            errors[name].append((naive - truth, corrected - truth, covered))
    return {name: _summary(np.array(found, dtype=float)) for name, found in errors.items()}


def _summary(found: np.ndarray) -> dict[str, float]:
    naive, corrected, covered = found.mean(axis=0)
    return {
        "bias_uncorrected": round(float(naive), 4),
        "bias_corrected": round(float(corrected), 4),
        "standard_error_of_bias_corrected": round(
            float(found[:, 1].std(ddof=1) / np.sqrt(len(found))), 4
        ),
        "ratio": round(float(abs(corrected / naive)), 3),
        "coverage_of_corrected_interval": round(float(covered), 3),
    }


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=400)
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = {
        f"noise {share:.0%} of the volume": of_noise(share, arguments.cohorts, arguments.seed)
        for share in (0.05, 0.1)
    }
    found["cohorts"] = {"number": arguments.cohorts}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    logger.info(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
