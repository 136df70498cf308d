"""Settings of ``train.py``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lesion_dynamics.settings.augmentation import AugmentationSettings, Probability
from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.losses import LossSettings
from lesion_dynamics.settings.segmenter import SegmenterSettings
from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.synthesis import SynthesisSettings
from lesion_dynamics.settings.tracking import TrackingSettings

Positive = Annotated[float, Field(gt=0)]


class PatchSettings(Strict):
    """Which patches the network is shown.

    size_voxels : edge of the cubic patch on the network's grid.
    lesion_fraction : share of patches centred on a lesion, where the scan has any.
    lesion_size_power : a lesion is chosen with a chance proportional to its volume to this power.
        1: every lesion voxel alike, so large lesions dominate; 0: every lesion alike.
    lookalike_fraction : share centred on a look-alike: among the scan's brightest FLAIR voxels,
        away from every lesion. The rest comes from anywhere in the brain.
    batch : patches a batch, all devices together.
    final_fraction : share of the epochs, the last ones, whose patches have `final_size_voxels` and
        whose batches `final_batch`; None keeps what the other epochs have.
    """

    size_voxels: int = Field(ge=8, le=256)
    lesion_fraction: Probability
    lesion_size_power: float = Field(default=1.0, ge=0, le=1)
    lookalike_fraction: Probability = 0.0
    batch: int = Field(ge=1)
    final_fraction: Probability = 0.0
    final_size_voxels: int | None = Field(default=None, ge=8, le=256)
    final_batch: int | None = Field(default=None, ge=1)

    def final_epochs(self, epochs: int) -> int:
        """How many of all epochs show the final patches."""
        return math.floor(self.final_fraction * epochs + 0.5)

    @model_validator(mode="after")
    def _shares_of_one_whole(self) -> PatchSettings:
        if self.lesion_fraction + self.lookalike_fraction > 1:
            raise ValueError("lesion_fraction and lookalike_fraction are at most 1 together")
        given = self.final_size_voxels is not None or self.final_batch is not None
        if given and self.final_fraction == 0:
            raise ValueError(
                "final_size_voxels and final_batch change nothing where final_fraction is 0"
            )
        return self


class OptimiserSettings(Strict):
    """AdamW with a linear warm-up, and then a schedule.

    schedule : cosine; polynomial, (1 - done)^`polynomial_power`; constant; or trapezoid, constant
        until the last `decay_fraction` of all steps and then down on a straight line (Hägele et
        al. 2024, arXiv 2405.18392). All but constant end at zero.
    warmup_fraction : share of all steps. gradient_clip_norm : largest gradient norm.
    weight_average_decay : decay of an exponential moving average of the weights, a step; where
        it is on (above 0), the average is what is validated and registered.
    """

    learning_rate: Positive
    weight_decay: float = Field(ge=0)
    schedule: Literal["cosine", "polynomial", "constant", "trapezoid"] = "cosine"
    polynomial_power: float = Field(default=0.9, gt=0, le=5)
    decay_fraction: float = Field(default=0.2, gt=0, le=0.5)
    warmup_fraction: float = Field(ge=0, le=0.5)
    gradient_clip_norm: Positive
    weight_average_decay: float = Field(default=0.0, ge=0, lt=1)


class TrainerSettings(Strict):
    """The loop.

    epochs : of `steps_per_epoch` steps each; a checkpoint is written after every epoch.
    accumulate_batches : batches whose gradients make one step; for small memories.
    validate_every_epochs : whole-volume validation at least this often, and after the last one.
    early_stopping_patience : validations without a better score after which the training ends;
        0 never ends it early.
    activation_checkpointing : compute the network's activations twice instead of keeping them:
        less memory, more time, the same gradients.
    accelerator : as in Lightning; ``auto`` takes a GPU where there is one.
    devices, num_nodes : processes a node, and nodes; more than one process trains with `strategy`.
    strategy : ``ddp``; ``ddp_find_unused_parameters`` for networks that leave weights unused.
    workers : processes that cut and augment patches, a device; 0 does it in the main process.
    threads : torch threads; 0 leaves torch's own choice.
    deterministic : the same weights from the same seed, also on a GPU, where that is slower.
    channels_last : the channels of a voxel side by side in memory. Changes speed, and results by
        rounding alone. UNet and DynUNet train so in bf16 on processors in any case.
    wait_for_disk_seconds : how long a checkpoint that does not fit on the disk is tried again
        before the training ends; the last one that did stays.
    """

    epochs: int = Field(ge=1)
    steps_per_epoch: int = Field(ge=1)
    accumulate_batches: int = Field(default=1, ge=1)
    validate_every_epochs: int = Field(ge=1)
    early_stopping_patience: int = Field(default=0, ge=0)
    activation_checkpointing: bool = False
    accelerator: Literal["auto", "cpu", "gpu"]
    devices: int = Field(default=1, ge=1)
    num_nodes: int = Field(default=1, ge=1)
    strategy: Literal["ddp", "ddp_find_unused_parameters"] = "ddp"
    workers: int = Field(ge=0)
    threads: int = Field(ge=0)
    deterministic: bool = True
    channels_last: bool = False
    wait_for_disk_seconds: float = Field(default=600.0, ge=0)

    @property
    def validation_interval(self) -> int:
        """Epochs from one validation to the next: a divisor, so the last one always validates."""
        most = min(self.epochs, self.validate_every_epochs)
        return max(step for step in range(1, most + 1) if self.epochs % step == 0)

    @property
    def processes(self) -> int:
        """Processes that train together."""
        return self.devices * self.num_nodes


class TrainSettings(Strict):
    """All of ``train.py``.

    name : registered name of the model versions that come out.
    seed : of the weights, the patches and the augmentation; and of the split, see `split_seed`.
    validation_fraction : share of the participants kept for validation, with `folds` of 1.
    folds, fold : with `folds` of 2 or more, the participants of fold number `fold` (from 1)
        validate: the folds of one cross-validation share everything else.
    split_seed : of the split and the folds; None takes `seed`.
    split_from : NAME/NUMBER, NAME@ALIAS or a folder of the model version whose split is kept:
        participants that had a side keep it, new ones are added; None splits anew.
    initial_model_version : NAME/NUMBER, NAME@ALIAS or a folder whose weights the training starts
        from; None starts from fresh ones.
    initial_weights_share : share of those weights in the ones that are evaluated and registered;
        the rest is what the training made of them. 0: the training's alone.
    parent_run : MLflow run that this one is listed under; set by sweeps.
    runs : folder of run folders (checkpoints, prepared scans); a started run is found there.
    output : folder that receives the trained model version.
    processes : scans prepared at once; 0 is one a core.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(ge=0, lt=2**31)
    split_seed: int | None = Field(default=None, ge=0, lt=2**31)
    validation_fraction: float = Field(gt=0, lt=1)
    folds: int = Field(default=1, ge=1)
    fold: int = Field(default=1, ge=1)
    split_from: str | None = None
    initial_model_version: str | None = None
    initial_weights_share: float = Field(default=0.0, ge=0, lt=1)
    parent_run: str | None = None
    cohort: CohortSettings
    segmenter: SegmenterSettings
    augmentation: AugmentationSettings
    synthesis: SynthesisSettings = SynthesisSettings()
    patch: PatchSettings
    loss: LossSettings
    optimiser: OptimiserSettings
    trainer: TrainerSettings
    tracking: TrackingSettings
    cache: CacheSettings
    runs: Path
    output: Path
    processes: int = Field(ge=0)

    @property
    def split_seed_used(self) -> int:
        """Of the split and the folds."""
        return self.seed if self.split_seed is None else self.split_seed

    @model_validator(mode="after")
    def _parts_fit_together(self) -> TrainSettings:
        network = self.segmenter.network
        patch, divisor = self.patch, network.divisor
        least = 2 * divisor
        sizes = {"size_voxels": patch.size_voxels, "final_size_voxels": patch.final_size_voxels}
        for key, size in sizes.items():
            if size is not None and (size % divisor or size < least):
                raise ValueError(
                    f"patch.{key}={size}: patches of {network.name} are multiples of {divisor}, "
                    f"at least {least}"
                )
        for key, batch in {"batch": patch.batch, "final_batch": patch.final_batch}.items():
            if batch is not None and batch % self.trainer.processes:
                raise ValueError(
                    f"patch.{key}={batch} cannot be shared out among "
                    f"{self.trainer.processes} processes"
                )
        share, epochs = patch.final_fraction, self.trainer.epochs
        if share > 0 and patch.final_epochs(epochs) == 0:
            raise ValueError(
                f"patch.final_fraction={share:g} of {epochs} epochs is none: at least "
                f"{0.5 / epochs:.3g} is needed for one, or more trainer.epochs"
            )
        loop, validations = self.trainer, epochs // self.trainer.validation_interval
        if loop.early_stopping_patience >= validations:
            raise ValueError(
                f"trainer.early_stopping_patience={loop.early_stopping_patience} never ends a "
                f"training of {validations} validation(s): set a smaller "
                "trainer.validate_every_epochs or patience"
            )
        return self

    @model_validator(mode="after")
    def _initial_weights_are_there(self) -> TrainSettings:
        if self.initial_weights_share > 0 and self.initial_model_version is None:
            raise ValueError(
                f"initial_weights_share={self.initial_weights_share:g} needs an "
                "initial_model_version: fresh weights have nothing to keep"
            )
        return self

    @model_validator(mode="after")
    def _split_settings_fit_together(self) -> TrainSettings:
        if self.fold > self.folds:
            raise ValueError(f"fold={self.fold} is above folds={self.folds}")
        if self.folds > 1 and self.synthesis.share == 1:
            raise ValueError(
                f"folds={self.folds} changes nothing with synthesis.share=1: every labelled scan "
                "validates"
            )
        if self.split_from is not None and self.synthesis.share == 1:
            raise ValueError(
                "split_from changes nothing with synthesis.share=1: every labelled scan validates"
            )
        if self.folds > 1 and self.split_from is not None:
            raise ValueError(
                f"folds={self.folds} deals the participants anew; split_from keeps a split"
            )
        return self
