"""Segment a cohort with a model version: python infer.py --help."""

import sys

import hydra
from omegaconf import DictConfig

from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.workflows.command import refusals, run_command, typed


@hydra.main(version_base="1.3", config_path="conf", config_name="infer")
def infer(configuration: DictConfig) -> None:
    """Validate the settings, then run."""
    with refusals():
        settings = typed(configuration, InferSettings)
        from lesion_dynamics.workflows.inference import run  # only when settings are good

        run(settings).require_no_failures()


if __name__ == "__main__":
    sys.exit(run_command(infer, InferSettings))
