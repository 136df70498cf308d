"""``lesion-dynamics repeatability``: how far volumes part when scans are measured again."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.repeatability import RepeatabilitySettings


def main(arguments: Sequence[str]) -> int:
    """Measure with Hydra overrides; the exit status."""
    return run_configured(
        _measure, RepeatabilitySettings, name="repeatability", arguments=arguments
    )


def _measure(settings: RepeatabilitySettings) -> None:
    from lesion_dynamics.workflows.repeatability.measuring import run  # only when they are good

    run(settings)
