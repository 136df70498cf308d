"""Settings of ``train.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.segmenter import SegmenterSettings
from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.tracking import TrackingSettings

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class AugmentationSettings(Strict):
    """Random changes of one training patch, each with its probability (0 turns it off).

    flip : left-right mirror.
    affine : rotation up to `rotation_degrees`, scaling by up to `scaling` (0.1: 0.9 to 1.1).
    bias_field : polynomial field, coefficients up to `bias_field_coefficient`.
    gamma : contrast exponent exp(+-`gamma_log`), over the patch's own range.
    intensity : each sequence times 1 +- `intensity_scaling` plus +- `intensity_shift` (z units).
    noise : Gaussian, standard deviation up to `noise_std` (z units).
    blur : Gaussian, standard deviation up to `blur_std_voxels`.
    thick_slices : resolution along one axis lowered by a factor of up to `slice_factor`.
    sequence_dropout : an optional sequence is left out.
    """

    flip: Probability
    affine: Probability
    rotation_degrees: float = Field(ge=0, le=180)
    scaling: float = Field(ge=0, le=0.5)
    bias_field: Probability
    bias_field_coefficient: float = Field(ge=0, le=1)
    gamma: Probability
    gamma_log: float = Field(ge=0, le=1)
    intensity: Probability
    intensity_scaling: float = Field(ge=0, le=0.9)
    intensity_shift: float = Field(ge=0)
    noise: Probability
    noise_std: float = Field(ge=0)
    blur: Probability
    blur_std_voxels: float = Field(ge=0)
    thick_slices: Probability
    slice_factor: float = Field(ge=1, le=8)
    sequence_dropout: Probability


class PatchSettings(Strict):
    """Which patches the network is shown.

    size_voxels : edge of the cubic patch on the network's grid.
    lesion_fraction : share of patches centred on a lesion voxel, where the scan has any.
    batch : patches a training step.
    """

    size_voxels: int = Field(ge=8, le=256)
    lesion_fraction: Probability
    batch: int = Field(ge=1)


class LossSettings(Strict):
    """Dice plus cross-entropy: Dice alone is about 1 on a patch without lesions."""

    dice_weight: float = Field(ge=0)
    cross_entropy_weight: float = Field(ge=0)


class OptimiserSettings(Strict):
    """AdamW with a linear warm-up and a cosine decay to zero at the last step.

    warmup_fraction : share of all steps. gradient_clip_norm : largest gradient norm.
    """

    learning_rate: Positive
    weight_decay: float = Field(ge=0)
    warmup_fraction: float = Field(ge=0, le=0.5)
    gradient_clip_norm: Positive


class TrainerSettings(Strict):
    """The loop.

    epochs : of `steps_per_epoch` steps each; a checkpoint is written after every epoch.
    validate_every_epochs : whole-volume validation at least this often, and after the last one.
    accelerator : as in Lightning; ``auto`` takes a GPU where there is one.
    workers : processes that cut and augment patches; 0 does it in the main process.
    threads : torch threads; 0 leaves torch's own choice.
    """

    epochs: int = Field(ge=1)
    steps_per_epoch: int = Field(ge=1)
    validate_every_epochs: int = Field(ge=1)
    accelerator: Literal["auto", "cpu", "gpu"]
    workers: int = Field(ge=0)
    threads: int = Field(ge=0)


class TrainSettings(Strict):
    """All of ``train.py``.

    name : registered name of the model versions that come out.
    seed : of the split, the weights, the patches and the augmentation.
    validation_fraction : share of the participants kept for validation.
    runs : folder of run folders (checkpoints, prepared scans); a started run is found there.
    output : folder that receives the trained model version.
    processes : scans prepared at once; 0 is one a core.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(ge=0, lt=2**31)
    validation_fraction: float = Field(gt=0, lt=1)
    cohort: CohortSettings
    segmenter: SegmenterSettings
    augmentation: AugmentationSettings
    patch: PatchSettings
    loss: LossSettings
    optimiser: OptimiserSettings
    trainer: TrainerSettings
    tracking: TrackingSettings
    cache: CacheSettings
    runs: Path
    output: Path
    processes: int = Field(ge=0)
