"""The real configuration, composed and shrunk; the small phantom; a model version trained on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.phantom import PhantomSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainSettings

ROOT = Path(__file__).resolve().parents[1]

SMALL_TRAINING = (
    "segmenter.spacing_mm=3",
    "segmenter.network.channels=[4,8,8]",
    "segmenter.network.head_channels=2",
    "segmenter.preprocessing.bias_field.iterations=[5]",
    "segmenter.window.size_voxels=[32,32,32]",
    "patch.size_voxels=16",
    "trainer.epochs=2",
    "trainer.steps_per_epoch=3",
    "trainer.validate_every_epochs=1",
    "trainer.accelerator=cpu",
    "segmenter.precision=float32",
    "trainer.workers=0",
    "trainer.threads=1",
    "processes=1",
    "validation_fraction=0.4",
)
"""One seed, three steps an epoch, a network of a few hundred weights, in this process."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Whole files to processes, whatever ends one of them."""
    if config.getoption("dist") != "loadfile":
        return None
    from tests.file_scheduling import FileScheduling

    return FileScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test begin, so that no process is left with one when the others end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def composed(name: str, *overrides: str) -> dict[str, Any]:
    """What Hydra composes from conf/, as plain values."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        values = OmegaConf.to_container(compose(name, list(overrides)), resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


@dataclass(frozen=True)
class Workplace:
    """A folder with the small phantom, and settings that keep everything inside it."""

    folder: Path
    data: Path

    def training(self, *overrides: str) -> TrainSettings:
        """Settings of a tiny training."""
        own = [
            f"cohort.root={self.data / 'training'}",
            f"cohort.reference_masks={self.data / 'training/derivatives/reference'}",
            f"tracking.folder={self.folder / 'tracking'}",
            f"runs={self.folder / 'runs'}",
            f"cache.folder={self.folder / 'cache'}",
            f"output={self.folder / 'models/lesion-segmenter'}",
        ]
        return validated(TrainSettings, composed("train", *SMALL_TRAINING, *own, *overrides))

    def inference(self, *overrides: str) -> InferSettings:
        """Settings of an inference over the study cohort."""
        own = [
            f"cohort.root={self.data / 'study'}",
            f"tracking.folder={self.folder / 'tracking'}",
            f"model_version={self.folder / 'models/lesion-segmenter'}",
            f"output={self.folder / 'derivatives'}",
            f"cache.folder={self.folder / 'cache'}",
            "executor.processes=1",
        ]
        return validated(InferSettings, composed("infer", *own, *overrides))


@pytest.fixture(scope="session")
def small_phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small variant of the embedded cohort, generated once. Never write into it."""
    root = tmp_path_factory.mktemp("small") / "data"
    generate(PhantomSettings.of_variant("small", seed=11), root, processes=2)
    return root


@pytest.fixture
def workplace(tmp_path: Path, small_phantom: Path) -> Workplace:
    """An empty workplace beside the small phantom."""
    return Workplace(tmp_path, small_phantom)


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, small_phantom: Path
) -> tuple[Workplace, ModelVersion]:
    """A workplace in which the tiny training has finished."""
    from lesion_dynamics.workflows.training import run

    place = Workplace(tmp_path_factory.mktemp("trained"), small_phantom)
    return place, run(place.training())


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A fresh store's ``mlflow.db``: a copy is there at once, making its tables takes seconds."""
    from lesion_dynamics.records.store import connect
    from lesion_dynamics.settings.tracking import TrackingSettings

    folder = tmp_path_factory.mktemp("empty")
    connect(TrackingSettings(folder=folder, experiment="of no test"))
    return (folder / "mlflow.db").read_bytes()


@pytest.fixture(scope="session")
def compose_conf() -> Callable[..., dict[str, Any]]:
    """Compose a root configuration with overrides."""
    return composed
