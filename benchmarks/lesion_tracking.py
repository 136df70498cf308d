"""Tracking against the phantom's truth: new lesions found, stable intervals left alone, time.

    python benchmarks/lesion_tracking.py [--step 3] [--start 1] [--results FILE]

The rules were chosen on every third participant (start 0); the default judges others. Masks are
the true ones with another boundary and a misalignment at every session (`MaskNoise`). A stable
interval is one session twice: nothing has changed, so every new lesion is false.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from phantom_lesions import (
    MaskNoise,
    NewLesionScore,
    TrueParticipant,
    noisy_mask,
    tracking_grid,
    true_labels,
    true_participants,
)

from lesion_dynamics.lesions.tracking.interval import LabelledSession, track_interval
from lesion_dynamics.settings.lesions_in_time import TrackingRules
from lesion_dynamics.settings.phantom import PhantomSettings

_LESIONS = 400
_SHAPE = (182, 218, 182)


def judge(participants: list[TrueParticipant], rules: TrackingRules) -> dict[str, object]:
    """Scores over all intervals."""
    score, changes, false_new, stable = NewLesionScore(), Counter[str](), 0, 0
    noise = MaskNoise()
    for number, participant in enumerate(participants):
        rng = np.random.default_rng([7, number])
        grid = tracking_grid(participant)
        masks = [noisy_mask(session, grid, rng, noise) for session in participant.sessions]
        for k in range(len(masks) - 1):
            tracked = track_interval(masks[k], masks[k + 1], affine=grid[1], rules=rules)
            truth = true_labels(participant.sessions[k + 1], grid)
            score.add(tracked, participant.volumes_mm3[:, k], truth)
        again = noisy_mask(participant.sessions[0], grid, rng, noise)
        for one, other in ((masks[0], again), (again, masks[0])):
            tracked = track_interval(one, other, affine=grid[1], rules=rules)
            changes.update(lesion.volume_change for lesion in tracked.lesions)
            false_new += sum(lesion.change == "new" for lesion in tracked.lesions)
            stable += 1
    return {
        "new_lesions_found": score.found,
        "new_lesions_missed": score.missed,
        "new_lesions_false": score.false,
        "new_lesion_f1": round(score.f1, 3),
        "stable_intervals": stable,
        "false_new_per_stable_interval": round(false_new / stable, 3),
        "changes_in_stable_intervals": dict(sorted(changes.items())),
    }


def timed(rules: TrackingRules) -> dict[str, float]:
    """Seconds of a 1 mm scan with 400 lesions: components of both masks, and tracking."""
    rng = np.random.default_rng(1)
    cells = rng.permutation(np.argwhere(np.ones((16, 19, 16), dtype=bool)))[:_LESIONS]
    masks = []
    for _ in range(2):
        mask = np.zeros(_SHAPE, dtype=np.uint8)
        for cell in cells:
            corner = cell * 11 + 3 + rng.integers(0, 2, 3)
            ends = corner + rng.integers(2, 7, 3)
            mask[tuple(slice(a, b) for a, b in zip(corner, ends, strict=True))] = 1
        masks.append(mask)
    best = {"components_s": np.inf, "tracking_s": np.inf}
    for _ in range(5):
        begun = time.perf_counter()
        labelled = [LabelledSession.of_mask(mask, connectivity=26) for mask in masks]
        middle = time.perf_counter()
        track_interval(labelled[0], labelled[1], affine=np.eye(4), rules=rules)
        best["components_s"] = min(best["components_s"], middle - begun)
        best["tracking_s"] = min(best["tracking_s"], time.perf_counter() - middle)
    best["both_s"] = best["components_s"] + best["tracking_s"]
    best["lesions"] = labelled[0].count
    return {name: round(float(value), 3) for name, value in best.items()}


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=int, default=3)
    parser.add_argument("--start", type=int, default=1)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    rules = TrackingRules()
    participants = list(true_participants(PhantomSettings(), given.step, given.start))
    result = {
        "participants": len(participants),
        **judge(participants, rules),
        "scan_of_400_lesions": timed(rules),
    }
    text = json.dumps(result, indent=2) + "\n"
    sys.stdout.write(text)
    if given.results is not None:
        given.results.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
