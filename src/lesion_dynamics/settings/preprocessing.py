"""Preprocessing, as the model version carries it."""

from __future__ import annotations

from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import Field, field_validator

from lesion_dynamics.settings.strict import Strict


class BiasFieldSettings(Strict):
    """N4 bias field correction (Tustison et al. 2010, doi 10.1109/TMI.2010.2046908).

    enabled : off leaves intensities as they are.
    shrink_mm : the field is estimated on a grid of about this spacing; it is smooth.
    iterations : largest number a fitting level, from coarse to fine.
    """

    enabled: bool
    shrink_mm: float = Field(ge=1.0, le=12.0)
    iterations: tuple[int, ...] = Field(min_length=1)


class IntensitySettings(Strict):
    """Normalisation inside the brain: median and the distance of two percentiles.

    trim : voxels further than this from the median, in normalised units, do not count.
    """

    lower_percentile: float = Field(gt=0, lt=50)
    upper_percentile: float = Field(gt=50, lt=100)
    trim: float = Field(default=3.0, ge=2.0, le=20.0)

    @property
    def standard_normal_distance(self) -> float:
        """Distance of the two percentiles in a standard normal distribution."""
        normal = NormalDist()
        return normal.inv_cdf(self.upper_percentile / 100) - normal.inv_cdf(
            self.lower_percentile / 100
        )


class RegistrationSettings(Strict):
    """Rigid registration (greedy) of sequences and of sessions.

    metric : normalised mutual information, or mutual information.
    iterations : a resolution level, from coarse to fine; 0 leaves a level out.
    """

    metric: Literal["NMI", "MI"] = "NMI"
    iterations: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)

    @field_validator("iterations")
    @classmethod
    def _does_something(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not any(value):
            raise ValueError("some level needs at least one iteration")
        return value


class PreprocessingSettings(Strict):
    """All steps; a step that a cohort declares done is not done again."""

    registration: RegistrationSettings
    bias_field: BiasFieldSettings
    intensity: IntensitySettings
