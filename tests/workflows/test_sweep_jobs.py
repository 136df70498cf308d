"""Every job of a sweep is checked before the first one trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from tests.conftest import ROOT

from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.workflows.sweep_jobs import require_valid_jobs


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
            ("trainer.epochs=2,0",),
            "^the job trainer.epochs=0, key trainer.epochs: trainer.epochs=0",
        ),
    ],
)
def test_the_first_wrong_job_is_named_at_once(task: tuple[str, ...], said: str) -> None:
    with sweep(*task) as config, pytest.raises(ConfigurationError, match=said) as refused:
        require_valid_jobs(config, TrainSettings)
    assert "\n" not in str(refused.value)


def test_a_good_sweep_passes_brackets_experiments_and_deletions_included() -> None:
    task = (
        "segmenter=unet,dynunet", "fold=1,2", "folds=2", "segmenter.window.size_voxels=[96,96,96]",
        "loss=choice(blob,tversky)", "output='models/a b'",
    )  # fmt: skip
    with sweep(*task) as config:
        require_valid_jobs(config, TrainSettings)


@pytest.mark.parametrize(
    "task", [("segmenter=unet,nosuch",), ("trainer.epoch=1,2",), ("seed=interval(1,2)",)]
)
def test_what_cannot_be_composed_is_left_to_hydra_which_refuses_it_next(
    task: tuple[str, ...],
) -> None:
    with sweep(*task) as config:
        require_valid_jobs(config, TrainSettings)
        with pytest.raises(HydraException):
            composed_by_hydra(config, task)
