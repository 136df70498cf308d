"""``lesion-dynamics lay-out-corrections``: scans and masks in a folder for a mask editor."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.corrections import LayOutCorrectionsSettings


def main(arguments: Sequence[str]) -> int:
    """Run with Hydra overrides; the exit status."""
    return run_configured(
        _lay_out, LayOutCorrectionsSettings, name="lay_out_corrections", arguments=arguments
    )


def _lay_out(settings: LayOutCorrectionsSettings) -> None:
    from lesion_dynamics.workflows.corrections.lay_out import run  # only when settings are good

    run(settings)
