"""Search for the settings of a training with Optuna: python search.py --help."""

import sys

import hydra
from omegaconf import DictConfig

from lesion_dynamics.settings.search import SearchSettings
from lesion_dynamics.workflows.command import refusals, run_command, typed


@hydra.main(version_base="1.3", config_path="conf", config_name="search")
def search(configuration: DictConfig) -> None:
    """Validate the settings, then run."""
    with refusals():
        settings = typed(configuration, SearchSettings)
        # Only when settings are good.
        from lesion_dynamics.workflows.search import require_one_process_each, run, train_with

        require_one_process_each(settings)
        run(settings, train_with)


if __name__ == "__main__":
    sys.exit(run_command(search, SearchSettings))
