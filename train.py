"""Train a lesion segmenter and register it as a model version: python train.py --help."""

import sys

import hydra
from omegaconf import DictConfig

from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.workflows.command import refusals, run_command, typed


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def train(configuration: DictConfig) -> object:
    """Validate the settings, then run; a sweep compares what comes back."""
    with refusals():
        settings = typed(configuration, TrainSettings)
        from lesion_dynamics.workflows.training import run  # only when settings are good

        return run(settings)


if __name__ == "__main__":
    sys.exit(run_command(train, TrainSettings))
