"""``lesion-dynamics rank-scans``: which scans a person should look at first."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.corrections import RankScansSettings


def main(arguments: Sequence[str]) -> int:
    """Run with Hydra overrides; the exit status."""
    return run_configured(_rank, RankScansSettings, name="rank_scans", arguments=arguments)


def _rank(settings: RankScansSettings) -> None:
    from lesion_dynamics.workflows.corrections.rank import run  # only when settings are good

    run(settings)
