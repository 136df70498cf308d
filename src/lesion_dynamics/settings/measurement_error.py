"""The segmenter's own error, and how it is carried into the answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lesion_dynamics.settings.strict import Strict

Correction = Literal["deconvolution", "simex", "none"]


class VolumeErrorFigures(Strict):
    """Error of one scan's lesion volume: measured = offset + gain x true + noise.

    offset_mm3, gain : systematic; 0 and 1 without bias.
    noise_mm3, noise_share : standard deviation of the noise between scans of a participant:
        sqrt(noise_mm3^2 + (noise_share x volume)^2).
    """

    diagnosis: Literal["MS", "NMOSD"]
    offset_mm3: float = 0.0
    gain: float = Field(default=1.0, gt=0)
    noise_mm3: float = Field(default=0.0, ge=0)
    noise_share: float = Field(default=0.0, ge=0)


class MeasurementErrorSettings(Strict):
    """Correction of the estimates for the segmenter's error.

    figures : of each diagnosis, from a validation. Empty: estimated against the truth where the
        cohort has one, otherwise nothing is corrected.
    correction : deconvolution (of unimodal true changes; docs/statistics.md has its assumptions),
        simex, or none.
    simex_order : with simex: noise levels from which Cliff's delta is extrapolated; more leave
        less bias and cost variance. Pseudomedians and shifts take two at most. 1: the gain is
        taken out and nothing extrapolated.
    bootstrap_draws : draws of participants for the interval of a corrected estimate.
    power : with which the smallest detectable difference is found.
    """

    figures: tuple[VolumeErrorFigures, ...] = ()
    correction: Correction = "deconvolution"
    simex_order: int = Field(default=7, ge=1, le=10)
    bootstrap_draws: int = Field(default=500, ge=100)
    power: float = Field(default=0.8, gt=0.5, lt=1)
