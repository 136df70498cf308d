"""``lesion-dynamics deliver``: send what the tracking server could not take."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.deliver import DeliverSettings


def main(arguments: Sequence[str]) -> int:
    """Deliver with Hydra overrides; the exit status."""
    return run_configured(_deliver, DeliverSettings, name="deliver", arguments=arguments)


def _deliver(settings: DeliverSettings) -> None:
    from lesion_dynamics.workflows.tracking.deliver import run  # only when settings are good

    run(settings)
