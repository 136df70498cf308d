"""The record of a repeatability measurement, kept with a model version.

``repeatability.json`` beside a model version's ``lesion_measurements.tsv``:

    {"format": 1, "model_version": "lesion-segmenter/3", "source": "12 scan-rescan pairs, ...",
     "figures": [{"diagnosis": "MS", "noise_mm3": 12.0, "noise_share": 0.04, "scans": 24}, ...]}

noise_mm3, noise_share : standard deviation of one scan's volume between repeated scans of the
same participant, sqrt(noise_mm3^2 + (noise_share x volume)^2). scans : that it was found from.
diagnosis : MS, NMOSD, or "all" for both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.longitudinal.volume_error import Figures
from lesion_dynamics.settings.measurement_error import VolumeErrorFigures
from lesion_dynamics.settings.strict import Strict

REPEATABILITY_FILE = "repeatability.json"


class RepeatabilityFigure(Strict):
    """Noise of one scan's volume in a diagnosis; see the module."""

    diagnosis: Literal["MS", "NMOSD", "all"]
    noise_mm3: float = Field(ge=0)
    noise_share: float = Field(ge=0)
    scans: int = Field(ge=2)


class Repeatability(Strict):
    """`REPEATABILITY_FILE` of one model version."""

    format: Literal[1]
    model_version: str
    source: str
    figures: tuple[RepeatabilityFigure, ...] = Field(min_length=1)


def read_repeatability(path: Path) -> Repeatability:
    """Read and check a record.

    Raises
    ------
    MeasurementsError : it cannot be read, or is not such a record.
    """
    try:
        return Repeatability.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        lines = str(error).splitlines()
        raise MeasurementsError(
            f"this is not a repeatability record ({' '.join(lines[:3])[:160]})", where=path,
            remedy="Measure the repeatability again, or remove the file.",
        ) from None  # fmt: skip


def with_repeatability(figures: Figures, record: Repeatability | None) -> Figures:
    """``figures`` with the noise of the record; what it does not name stays.

    A diagnosis without figures gets the noise alone, with offset 0 and gain 1: enough for the
    smallest detectable change, no calibration.
    """
    if record is None:
        return figures
    found = dict(figures)
    for name in DIAGNOSES:
        own = [f for f in record.figures if f.diagnosis in (name, "all")]
        if own:
            # The diagnosis' own figure goes before one of both.
            best = sorted(own, key=lambda figure: figure.diagnosis == "all")[0]
            base = found.get(name, VolumeErrorFigures(diagnosis=name))
            noise = {"noise_mm3": best.noise_mm3, "noise_share": best.noise_share}
            found[name] = base.model_copy(update=noise)
    return found
