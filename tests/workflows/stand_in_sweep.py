"""A sweep without its trainings: what they leave is there, and Hydra's calls come in its order."""

from __future__ import annotations

import os
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf, open_dict
from tests.conftest import ROOT

from lesion_dynamics.atomic_files import hash_of_content, write_text
from lesion_dynamics.model_version import MANIFEST_FILE, Manifest, ModelVersion
from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.settings.operating_point import OperatingPoint
from lesion_dynamics.settings.tracking import TrackingSettings
from lesion_dynamics.workflows.sweep import PARENT_VARIABLE, SweepRecord
from lesion_dynamics.workflows.training_version import await_number, run_reference

DICE = {("unet", 1): 0.5, ("unet", 2): 0.6, ("unet", 3): 0.7, ("dynunet", 1): 0.8}
POINT = OperatingPoint(probability_threshold=0.4, minimum_lesion_volume_mm3=14.0, connectivity=26)
DOWN = "http://127.0.0.1:9"
"""Nothing listens there."""


class Sweep:
    """``python train.py -m segmenter=unet,dynunet seed=1,2,3``, without Hydra's launcher."""

    def __init__(self, folder: Path, tracking: TrackingSettings, *given: str) -> None:
        self.folder, self.tracking, self.given = folder, tracking, given
        self.callback = SweepRecord()

    def config(self, *overrides: str, number: int = 0) -> DictConfig:
        own = [f"runs={self.folder / 'runs'}", *(one for one in overrides if "," not in one)]
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            composed = compose("train", own, return_hydra_config=True)
        with open_dict(composed):
            composed.tracking = OmegaConf.create(self.tracking.model_dump(mode="json"))
            composed.hydra.overrides.task = list(overrides)
            composed.hydra.job.num = number
        return composed

    @property
    def whole(self) -> DictConfig:
        return self.config("segmenter=unet,dynunet", "seed=1,2,3", *self.given)

    def start(self) -> str:
        whole = self.whole
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            self.callback.on_multirun_start(whole)
        kept = self.folder / "runs/sweeps/multirun.yaml"  # as Hydra does
        kept.parent.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.whole, kept)
        return os.environ[PARENT_VARIABLE]

    def job(self, number: int, network: str, seed: int, parent: str, *, f1: float | None) -> str:
        """A training that ended well; what names its run."""
        overrides = [f"segmenter={network}", f"seed={seed}", *self.given]
        self.callback.on_job_start(self.config(*overrides, number=number))
        run = SpooledRun.start(self.tracking, name=f"{network}-{seed}", tags={})
        run.put_under(parent)
        run.log_metrics({"final_mean_dice": DICE[network, seed]}, step=3)
        version = self.folder / f"{network}-{seed}"
        await_number(version, name="m", run=run.reference)
        run.finish()
        run.close()
        measured = {"mean_dice": DICE[network, seed], "mean_lesion_f1": f1}
        weights_sha256 = hash_of_content([network, seed])
        manifest = Manifest.model_construct(
            validation={"all": measured},
            name="m",
            weights_sha256=weights_sha256,
            operating_point=POINT,
            training={"key": f"key of {network} {seed}", "configuration": {"seed": seed}},
        )
        write_text(version / MANIFEST_FILE, f"manifest of {network} {seed}")
        done = JobReturn()
        done.overrides, done.status = overrides, JobStatus.COMPLETED
        done.return_value = ModelVersion("m", 0, manifest, version / "weights")
        self.callback.on_job_end(self.config(*overrides, number=number), done)
        found = run_reference(version)
        assert found is not None
        return found

    def all_of_it(self) -> None:
        parent = self.start()
        for number, (network, seed) in enumerate(DICE):
            f1 = None if (network, seed) == ("unet", 2) else 0.1 * seed
            self.job(number, network, seed, parent, f1=f1)
        self.callback.on_multirun_end(self.whole)
