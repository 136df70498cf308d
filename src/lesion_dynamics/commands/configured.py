"""A command with the configuration, overrides, errors and statuses of the root scripts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import hydra
from omegaconf import DictConfig

from lesion_dynamics.errors import EXIT_USER_ERROR, ConfigurationError, UserError
from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.workflows.command import refusals, run_command, typed

AnySettings = TypeVar("AnySettings", bound=Strict)

_CHECKOUT = Path(__file__).resolve().parents[3]


def run_configured(
    body: Callable[[AnySettings], object],
    schema: type[AnySettings],
    *,
    name: str,
    arguments: Sequence[str],
) -> int:
    """Compose ``conf/<name>.yaml`` with the overrides and run ``body``; the exit status.

    Parameters
    ----------
    body : loads what is heavy itself, so that a misspelt key is refused at once.
    arguments : Hydra's overrides and options, as after the command's name.
    """
    try:
        folder = configuration_folder(name, checkout=_CHECKOUT, here=Path.cwd())
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USER_ERROR

    def command(configuration: DictConfig) -> None:
        with refusals():
            body(typed(configuration, schema))

    sys.argv = [f"lesion-dynamics {name}", *arguments]
    decorated = hydra.main(version_base="1.3", config_path=str(folder), config_name=name)(command)
    return run_command(decorated, schema)


def configuration_folder(name: str, *, checkout: Path, here: Path) -> Path:
    """``conf/`` of the source checkout, or of the current folder where there is no checkout.

    Raises
    ------
    ConfigurationError : neither holds ``conf/<name>.yaml``.
    """
    for root in (checkout, here):
        if (root / "conf" / f"{name}.yaml").is_file():
            return root / "conf"
    raise ConfigurationError(
        f"there is no conf/{name}.yaml",
        where=here,
        remedy="Start the command in the repository's folder, or install from there (make setup).",
    )
