"""Settings of ``infer.py``: a cohort, a model version, and where and how to run; nothing else.

Sequences, spacing, normalisation, window and operating point belong to the model version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.engine import EngineName, TestTimeAugmentation
from lesion_dynamics.settings.quality import QualitySettings
from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.tracking import TrackingSettings


class ExecutorSettings(Strict):
    """Where participants are worked on.

    kind : ``local``: processes on this computer. ``ray``: actors of a Ray cluster.
    processes : participants at once; 0 is one a core (with Ray: as many as the cluster has
        cores, or GPUs, for). threads_per_process : torch threads.
    address : of a running Ray cluster, ``auto`` or ``host:port``; None starts one on this
        computer for the command. Ray alone.
    gpus_per_process : GPUs of an actor; 0 computes on processors. Ray alone.
    """

    kind: Literal["local", "ray"] = "local"
    processes: int = Field(ge=0)
    threads_per_process: int = Field(ge=1)
    address: str | None = Field(default=None, min_length=1)
    gpus_per_process: float = Field(default=0.0, ge=0, le=8)

    @model_validator(mode="after")
    def _only_ray_has_a_cluster(self) -> ExecutorSettings:
        if self.kind == "local" and (self.address is not None or self.gpus_per_process):
            raise ValueError("address and gpus_per_process belong to executor=ray")
        return self


class CohortInferenceSettings(Strict):
    """What an inference over a whole cohort is told, by ``infer.py`` or by a release.

    model_version : ``name/number``, ``name@alias``, or a folder that ``train.py`` wrote; several
        joined by ``+`` are an ensemble, whose probability is the mean.
    engine : what runs the network. tta : test-time augmentation.
    longitudinal : ``shared`` lets a participant's aligned sessions inform each other where the
        image did not change; the outputs are those of ``<name>-v<number>-longitudinal``. ``none``:
        every scan by itself.
    mni : ``affine`` or ``deformable`` also writes each lesion mask in MNI152 space, with the
        transforms; ``none`` does not. Volumes are native in any case.
    """

    cohort: CohortSettings
    model_version: str = Field(min_length=1)
    engine: EngineName = "auto"
    tta: TestTimeAugmentation = "none"
    executor: ExecutorSettings
    tracking: TrackingSettings
    longitudinal: Literal["none", "shared"] = "none"
    mni: Literal["none", "affine", "deformable"] = "none"
    cache: CacheSettings
    quality: QualitySettings

    @model_validator(mode="after")
    def _sessions_that_share_are_aligned(self) -> CohortInferenceSettings:
        if self.longitudinal != "none" and self.cohort.session_alignment == "none":
            raise ValueError("longitudinal=shared needs cohort.session_alignment=rigid")
        return self


class InferSettings(CohortInferenceSettings):
    """All of ``infer.py``.

    part : ``k/n``, of the participants in the order of their ids every n-th from the k-th, as one
        of n jobs that share nothing; None: all.
    output : receives ``<cohort>/<name>-v<number>/``, of a part ``<cohort>-part-k-of-n/...``.
    """

    part: str | None = Field(default=None, pattern=r"^[1-9][0-9]*/[1-9][0-9]*$")
    output: Path

    @model_validator(mode="after")
    def _part_is_one_of_its_number(self) -> InferSettings:
        if self.part_numbers is not None and self.part_numbers[0] > self.part_numbers[1]:
            raise ValueError(f"part={self.part}: parts are counted from 1/n to n/n")
        return self

    @property
    def part_numbers(self) -> tuple[int, int] | None:
        """Which part, and of how many."""
        if self.part is None:
            return None
        number, parts = self.part.split("/")
        return int(number), int(parts)

    @property
    def cohort_folder(self) -> str:
        """Name of the folder below ``output``; every part has its own."""
        named = self.part_numbers
        own = "" if named is None else f"-part-{named[0]}-of-{named[1]}"
        return f"{self.cohort.name}{own}"
