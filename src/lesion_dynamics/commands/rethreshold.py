"""``lesion-dynamics rethreshold``: another operating point from stored probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.measuring import RethresholdSettings


def main(arguments: Sequence[str]) -> int:
    """Rethreshold with Hydra overrides; the exit status."""
    return run_configured(
        _rethreshold, RethresholdSettings, name="rethreshold", arguments=arguments
    )


def _rethreshold(settings: RethresholdSettings) -> None:
    from lesion_dynamics.workflows.measuring.rethreshold import rethreshold

    rethreshold(settings)
