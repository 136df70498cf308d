"""A model version on the phantom's 61 participants, each scanned twice: bias by diagnosis, noise.

    python benchmarks/baseline_on_phantom.py FOLDER [--model-version NAME/NUMBER] [--seed N]
        [--results FILE]

Every participant of the embedded study has the lesions of the first session in two scans: same
anatomy and scanner, new noise, bias field and position in the scanner. Both are segmented as a
user's scans would be. FOLDER receives scans, truth, derivatives and the preprocessing cache; the
same command goes on where it was stopped. No scan of it took part in training or in choosing an
operating point; but figures of the embedded study (the default seed) may have been looked at when
something was chosen. Another seed draws other heads, places and lesions, with the same distribution
of volumes: nobody has seen them until their figures are looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.api import SHIPPED, segment_cohort
from lesion_dynamics.atomic_files import write_json
from lesion_dynamics.phantom import truth
from lesion_dynamics.phantom.disease_course import simulate_study
from lesion_dynamics.phantom.rescans import write_rescans
from lesion_dynamics.settings.phantom import DEFAULT_SEED, PhantomSettings

SCANS = 2
LARGE_MM3 = 1000.0
KEY = ["participant_id", "session_id"]
RESAMPLES, RESAMPLING_SEED = 9_999, 1
Figures = dict[str, float]
Draws = NDArray[np.float64]


def main() -> None:
    """Draw, segment, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model-version", default=SHIPPED)
    parser.add_argument("--tracking", type=Path, help="default: a store of its own in FOLDER")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of the study")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    settings = PhantomSettings(seed=given.seed)
    courses = simulate_study(settings)
    write_rescans(settings, courses, given.folder, scans=SCANS)
    done = segment_cohort(
        given.folder / "study", name="rescans", output=given.folder / "derivatives",
        model_version=given.model_version, cache=given.folder / "cache",
        tracking=given.tracking or given.folder / "tracking", session_alignment="none",
        prepared={"skull_stripped": True, "sequences_aligned": True},
    )  # fmt: skip
    if done.failures:
        raise SystemExit("\n".join(failure.line for failure in done.failures))
    true = pd.read_csv(given.folder / truth.MEASUREMENTS, sep="\t")
    both = done.measurements.merge(
        true[[*KEY, "lesion_volume_mm3"]], on=KEY, suffixes=("", "_true"), validate="1:1"
    )
    both["diagnosis"] = both["participant_id"].map(
        {c.schedule.participant_id: c.schedule.diagnosis for c in courses}
    )
    names = {name: str(both[name].iloc[0]) for name in ("model_version", "weights_sha256")}
    report = {"seed": given.seed} | names | compared(both)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    if given.results:
        write_json(given.results, report)


def compared(scans: pd.DataFrame) -> dict[str, Any]:
    """Bias of each diagnosis, and how far two scans of a participant part.

    scans : a row a scan with `diagnosis`, `participant_id`, `lesion_volume_mm3` (measured) and
        `lesion_volume_mm3_true`.
    """
    participants = {
        str(name): part.groupby("participant_id")[list(_VOLUMES)].mean()
        for name, part in scans.groupby("diagnosis")
    }
    by_diagnosis = {name: bias(part) for name, part in participants.items()}
    apart = {
        f"{key}_of_MS_less_NMOSD": by_diagnosis["MS"][key] - by_diagnosis["NMOSD"][key]
        for key in ("bias_in_sum_percent", "median_bias_percent")
    }
    return {
        "bias": by_diagnosis | apart | intervals_apart(participants["MS"], participants["NMOSD"]),
        "rescans": repeated(scans),
    }


def intervals_apart(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, list[float]]:
    """95% percentile intervals of what the two diagnoses' biases part by, participants resampled
    within each: in the sum of 31 one large lesion more or less found is a point.
    """
    rng = np.random.default_rng(RESAMPLING_SEED)
    sums, medians = zip(*(_resampled(part, rng) for part in (first, second)), strict=True)
    return {
        f"{key}_of_MS_less_NMOSD_interval": [
            float(bound) for bound in np.quantile(one - other, (0.025, 0.975))
        ]
        for key, (one, other) in (("bias_in_sum_percent", sums), ("median_bias_percent", medians))
    }


def _resampled(participants: pd.DataFrame, rng: np.random.Generator) -> tuple[Draws, Draws]:
    """Bias in sum and in the median, in percent, of each resample of those with lesions."""
    measured, true = (participants[name].to_numpy() for name in _VOLUMES)
    ill = np.flatnonzero(true > 0)
    drawn = ill[rng.integers(len(ill), size=(RESAMPLES, len(ill)))]
    sums = measured[drawn].sum(axis=1) / true[drawn].sum(axis=1)
    return 100 * (sums - 1), 100 * (np.median(measured[drawn] / true[drawn], axis=1) - 1)


_VOLUMES = ("lesion_volume_mm3", "lesion_volume_mm3_true")


def bias(participants: pd.DataFrame) -> Figures:
    """Measured against true volume of one diagnosis, a row a participant.

    Shares are of participants with lesions; those without count by their millimetres.
    """
    measured, true = (participants[name] for name in _VOLUMES)
    ill = true > 0
    return {
        "participants_with_lesions": int(ill.sum()),
        "bias_in_sum_percent": 100 * float(measured[ill].sum() / true[ill].sum() - 1),
        "median_bias_percent": 100 * float((measured[ill] / true[ill]).median() - 1),
        "mean_true_mm3": float(true[ill].mean()),
        "largest_excess_mm3": float((measured - true).max()),
        "lesion_free_participants": int((~ill).sum()),
        "mean_false_mm3_lesion_free": float(measured[~ill].mean()) if (~ill).any() else 0.0,
    }


def repeated(scans: pd.DataFrame) -> Figures:
    """Coefficient of variation of two scans of a participant, where they measure 1 ml and more
    on average: the root mean square of the participants' own.
    """
    volumes = scans.groupby("participant_id")["lesion_volume_mm3"]
    within, mean = volumes.var(ddof=1), volumes.mean()
    large = mean >= LARGE_MM3
    own = np.sqrt(within[large]) / mean[large]
    return {
        "participants_above_1ml": int(large.sum()),
        "coefficient_of_variation_above_1ml_percent": 100 * float(np.sqrt((own**2).mean())),
        "median_coefficient_of_variation_above_1ml_percent": 100 * float(own.median()),
        "within_participant_sd_mm3": float(np.sqrt(within.mean())),
    }


if __name__ == "__main__":
    main()
