"""Recompute the study from lesion volumes: python analyze.py --help."""

import sys

import hydra
from omegaconf import DictConfig

from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.workflows.command import refusals, run_command, typed


@hydra.main(version_base="1.3", config_path="conf", config_name="analyze")
def analyze(configuration: DictConfig) -> None:
    """Validate the settings, then run."""
    with refusals():
        settings = typed(configuration, AnalyzeSettings)
        from lesion_dynamics.workflows.analysis import run  # only when settings are good

        run(settings)


if __name__ == "__main__":
    sys.exit(run_command(analyze, AnalyzeSettings))
