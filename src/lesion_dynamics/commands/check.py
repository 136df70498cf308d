"""``lesion-dynamics check``: read a whole cohort and say what is in it and what is doubtful."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.check import CheckSettings


def main(arguments: Sequence[str]) -> int:
    """Run the check with Hydra overrides; the exit status."""
    return run_configured(_check, CheckSettings, name="check", arguments=arguments)


def _check(settings: CheckSettings) -> None:
    from lesion_dynamics.workflows.check import run  # only when settings are good

    run(settings)
