"""``lesion-dynamics export``: a model version becomes one file."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.releases import ExportSettings


def main(arguments: Sequence[str]) -> int:
    """Run with Hydra overrides; the exit status."""
    return run_configured(_export, ExportSettings, name="export", arguments=arguments)


def _export(settings: ExportSettings) -> None:
    from lesion_dynamics.workflows.releases.carrying import export  # when settings are good

    export(settings)
