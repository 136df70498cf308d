"""Settings of ``lesion-dynamics repeatability``: the same scans again, and how far volumes part."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.inference import ExecutorSettings
from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.tracking import TrackingSettings

Perturbation = Literal["flip", "shift", "noise", "bias", "thicker", "precision", "device"]
PERTURBATIONS: tuple[Perturbation, ...] = get_args(Perturbation)
RANDOM: tuple[Perturbation, ...] = ("noise", "bias")
"""Those that are drawn; the others are always the same."""
AMONG_COPIES: tuple[Perturbation, ...] = ("shift", "noise", "bias")
"""Those whose copies are compared with each other. Noise that is added and an image that is
interpolated make every copy worse than the scan: how far a copy lies from the scan says what worse
images do to a volume, how far copies lie from each other says how far two scans of one head do."""


class PerturbationSettings(Strict):
    """How a scan is changed.

    kinds : flip (left and right exchanged), shift (sampled between its voxels), noise, bias (a
        smooth field), thicker (slices), precision and device (of the network's arithmetic).
    pooled : those that are different in every scan of one scanner; their variances are added.
    draws : of noise and bias, each; copies are compared with each other, so at least two.
    shift_voxels : between the two copies, along all three axes; half of it either way.
    noise_share : standard deviation of the added noise over that of the image's own.
    bias_percent : largest deviation of the field from 1.
    bias_nodes : of the field along each axis; more are less smooth.
    thicker_slices : so many slices are averaged to one.
    precisions, devices : of those that are not the segmenter's own, each is a further run.
    """

    kinds: tuple[Perturbation, ...] = Field(min_length=1)
    pooled: tuple[Perturbation, ...]
    draws: int = Field(ge=2, le=20)
    shift_voxels: float = Field(gt=0, lt=1)
    noise_share: float = Field(gt=0)
    bias_percent: float = Field(gt=0, lt=100)
    bias_nodes: int = Field(ge=2, le=20)
    thicker_slices: int = Field(ge=2, le=6)
    precisions: tuple[Literal["float32", "bf16"], ...]
    devices: tuple[Literal["cpu", "cuda"], ...]

    @model_validator(mode="after")
    def _pooled_are_measured(self) -> PerturbationSettings:
        unmeasured = [name for name in self.pooled if name not in self.kinds]
        if unmeasured or not self.pooled:
            raise ValueError(
                f"pooled names {', '.join(unmeasured) or 'nothing'}: it takes some of kinds"
            )
        return self


class RescanSettings(Strict):
    """True rescans in place of perturbations; none are declared by default.

    sessions : ``all`` declares all sessions of each participant rescans of each other; else a
        table with participant_id, session_id and rescan_group (sessions of a participant with
        one group are rescans of each other).
    folders : derivative folders of one model version, each with the same scans scanned again.
    """

    sessions: str | None = None
    folders: tuple[Path, ...] = ()

    @model_validator(mode="after")
    def _one_way_or_the_other(self) -> RescanSettings:
        if self.sessions is not None and self.folders:
            raise ValueError("rescans.sessions and rescans.folders exclude each other")
        if len(self.folders) == 1:
            raise ValueError("rescans.folders takes two folders or more")
        return self

    @property
    def declared(self) -> bool:
        """Whether rescans are measured and not perturbations."""
        return self.sessions is not None or bool(self.folders)


class RepeatabilitySettings(Strict):
    """All of ``lesion-dynamics repeatability``.

    model_version : as for ``infer.py``.
    scans : at most so many, spread over the load within each diagnosis; 0 takes all.
    load_edges_mm3 : borders of the classes of load in the summary.
    smallest_cv_volume_mm3 : coefficients of variation are of scans from this mean volume on.
    seed : of noise and fields.
    output : as of ``infer.py``; the record is written into ``<cohort>/<name>-v<number>/``.
    """

    cohort: CohortSettings
    executor: ExecutorSettings
    tracking: TrackingSettings
    cache: CacheSettings
    model_version: str = Field(min_length=1)
    scans: int = Field(ge=0)
    perturbations: PerturbationSettings
    rescans: RescanSettings
    load_edges_mm3: tuple[float, ...]
    smallest_cv_volume_mm3: float = Field(gt=0)
    seed: int = Field(ge=0)
    output: Path

    @field_validator("load_edges_mm3")
    @classmethod
    def _edges_rise(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(edge <= 0 for edge in value) or list(value) != sorted(set(value)):
            raise ValueError("load_edges_mm3 are positive and rise")
        return value
