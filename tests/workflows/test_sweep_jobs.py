"""Every job of a sweep is checked before the first one trains."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from tests.conftest import ROOT

from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.workflows.command import _Refused
from lesion_dynamics.workflows.sweep import PARENT_VARIABLE, SweepRecord
from lesion_dynamics.workflows.sweep_jobs import valid_jobs


@contextmanager
def sweep(*task: str) -> Iterator[DictConfig]:
    """Hydra as it stands when a sweep begins."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("train", [], return_hydra_config=True)
        with open_dict(config):
            config.hydra.overrides.task = list(task)
        yield config


def composed_by_hydra(config: DictConfig, task: tuple[str, ...]) -> None:
    """What `BasicSweeper.sweep` does with all jobs before it launches the first."""
    loader = GlobalHydra.instance().config_loader()
    overrides = OverridesParser.create(loader).parse_overrides(list(task))
    (jobs,) = BasicSweeper.split_arguments(overrides, None)
    for job in jobs:
        loader.load_sweep_config(config, job)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (("fold=1,4", "folds=3"), r"^the job fold=4: fold=4 is above folds=3\. "),
        (("fold=range(1,5)", "folds=3"), "^the job fold=4: fold=4 is above"),
        (
            ("segmenter=unet,swinunetr", "seed=1,2", "patch.size_voxels=48"),
            "^the job segmenter=swinunetr seed=1: patch.size_voxels=48: patches of swinunetr",
        ),
        (
            ("cohort=training,bids", "fold=4", "folds=3"),
            r"^the job cohort=training: fold=4 is above folds=3\. ",
        ),
        (
            ("cohort=training,bids",),
            "^the job cohort=bids, key cohort.root: the key cohort.root has no value.*root=VALUE",
        ),
        (
            ("seed=1,2", "cohort.root=${oc.env:NO_SUCH}", "fold=4"),
            "^the job seed=1: .*Environment variable 'NO_SUCH' not found",
        ),
        (("cohort.root=${cohort.rot}",), "^the only job: Interpolation key 'cohort.rot' not found"),
        (
            ("experiment=baseline,null",),
            "^the job experiment=null: Config group override must be a str.*a command of its own",
        ),
        (
            ("seed=1,2", "~augmentation.blur"),
            "^the job seed=1, key augmentation.blur: the key augmentation.blur has no value",
        ),
        (
            ("trainer.epochs=2,0",),
            "^the job trainer.epochs=0, key trainer.epochs: trainer.epochs=0",
        ),
    ],
)
def test_the_first_wrong_job_is_named_at_once(task: tuple[str, ...], said: str) -> None:
    with sweep(*task) as config, pytest.raises(ConfigurationError, match=said) as refused:
        list(valid_jobs(config, TrainSettings))
    assert "\n" not in str(refused.value)


def test_every_job_of_a_good_sweep_is_composed_with_its_experiment_and_deletion() -> None:
    task = (
        "segmenter=unet,dynunet", "fold=1,2", "folds=2", "segmenter.window.size_voxels=[96,96,96]",
        "experiment=baseline", "~synthesis",
        "loss=choice(blob,tversky)", "output='models/a b'",
    )  # fmt: skip
    with sweep(*task) as config:
        jobs = [settings for settings, _origin in valid_jobs(config, TrainSettings)]
    varied = [(one.segmenter.network.name, one.fold, one.loss.name) for one in jobs]
    assert varied == list(itertools.product(("unet", "dynunet"), (1, 2), ("blob", "tversky")))
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        experiment = compose("train", ["experiment=baseline"])
        plain = compose("train", [])
    for one in jobs:
        assert one.name == experiment.name != plain.name
        assert one.trainer.epochs == experiment.trainer.epochs != plain.trainer.epochs
        assert one.segmenter.window.size_voxels == (96, 96, 96)
        assert str(one.output) == "models/a b"
        # Deleted, so it is what the settings say without it, not what the experiment does.
        assert one.synthesis.share == 0 != experiment.synthesis.share
        assert getattr(one.segmenter.network, "norm", "instance") == "instance"
    assert experiment.segmenter.network.norm == "batch"


def test_values_may_refer_to_what_hydra_sets_for_a_job_in_its_turn() -> None:
    task = (
        "seed=1,2", "output=models/${hydra:job.num}", "cohort.root=${oc.env:OF_A_JOB}",
        "runs=${hydra:runtime.output_dir}",
    )  # fmt: skip
    with sweep(*task) as config:
        with open_dict(config):
            config.hydra.overrides.hydra = [
                "+hydra.job.env_set.OF_A_JOB=there",
                "hydra.sweep.dir=x",
            ]
        jobs = [settings for settings, _origin in valid_jobs(config, TrainSettings)]
        assert HydraConfig.instance().cfg is None
    assert [str(one.output) for one in jobs] == ["models/0", "models/1"]
    assert {str(one.cohort.root) for one in jobs} == {"there"}
    assert {str(one.runs) for one in jobs} == {"x"}
    assert "OF_A_JOB" not in os.environ


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (
            ("seed=1,2", "trainer.devices=2"),
            "^the job seed=1: trainer.devices=2 and trainer.",
        ),
        (
            ("trainer.num_nodes=1,2",),
            "^the job trainer.num_nodes=2: trainer.devices=1 and",
        ),
        (("trainer.devices=2",), "^the only job: .* 2 processes.*python train.py without -m"),
    ],
)
def test_trainings_of_several_processes_are_no_sweep(task: tuple[str, ...], said: str) -> None:
    with sweep(*task) as config, pytest.raises(_Refused) as refused:
        SweepRecord().on_multirun_start(config)
    assert re.search(said, str(refused.value.error))
    assert PARENT_VARIABLE not in os.environ


@pytest.mark.parametrize(
    ("task", "before"),
    [
        (("segmenter=unet,nosuch",), 1),
        (("trainer.epoch=1,2",), 0),
        (("seed=interval(1,2)",), 0),
        (("seed=1,2", "seed=("), 0),
    ],
)
def test_what_cannot_be_composed_is_left_to_hydra_which_refuses_it_next(
    task: tuple[str, ...], before: int
) -> None:
    with sweep(*task) as config:
        assert len(list(valid_jobs(config, TrainSettings))) == before
        with pytest.raises(HydraException):
            composed_by_hydra(config, task)
