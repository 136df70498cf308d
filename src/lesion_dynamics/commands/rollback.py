"""``lesion-dynamics rollback``: back to the champion before."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.promotion import RollbackSettings


def main(arguments: Sequence[str]) -> int:
    """Run with Hydra overrides; the exit status."""
    return run_configured(_rollback, RollbackSettings, name="rollback", arguments=arguments)


def _rollback(settings: RollbackSettings) -> None:
    from lesion_dynamics.workflows.releases.promotion import rollback  # only when settings are good

    rollback(settings)
