"""Who is in the labelled training cohort, and how much lesion volume each has."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lesion_dynamics.phantom.random_streams import stream
from lesion_dynamics.settings.phantom import PhantomSettings

_LOAD_MM3 = {"MS": (800.0, 50_000.0), "NMOSD": (200.0, 12_000.0)}


@dataclass(frozen=True)
class TrainingParticipant:
    """One labelled participant."""

    participant_id: str
    diagnosis: str
    age: int
    sex: str
    load_mm3: float


def training_participants(settings: PhantomSettings) -> list[TrainingParticipant]:
    """Loads are log-uniform by equal steps, so that every range is met; some are zero."""
    found: list[TrainingParticipant] = []
    ms_free = settings.training_lesion_free // 6
    counts = {
        "MS": (settings.training_ms, ms_free),
        "NMOSD": (settings.training_nmosd, settings.training_lesion_free - ms_free),
    }
    for diagnosis, (count, free) in counts.items():
        rng = stream(settings.seed, "training", diagnosis)
        free = min(free, count - 1)
        low, high = (math.log(bound) for bound in _LOAD_MM3[diagnosis])
        share = (np.arange(count - free) + 0.5) / (count - free)
        loads = [0.0] * free + [math.exp(low + (high - low) * float(part)) for part in share]
        for number, row in enumerate(rng.permutation(count), start=1):
            found.append(
                TrainingParticipant(
                    participant_id=f"sub-train{diagnosis.lower()}{number:02d}",
                    diagnosis=diagnosis,
                    age=int(rng.integers(20, 65)),
                    sex="F" if rng.random() < 0.75 else "M",
                    load_mm3=round(loads[int(row)], 3),
                )
            )
    return found
