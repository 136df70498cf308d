"""``lesion-dynamics take-corrections``: corrected masks become reference masks."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.corrections import TakeCorrectionsSettings


def main(arguments: Sequence[str]) -> int:
    """Run with Hydra overrides; the exit status."""
    return run_configured(
        _take, TakeCorrectionsSettings, name="take_corrections", arguments=arguments
    )


def _take(settings: TakeCorrectionsSettings) -> None:
    from lesion_dynamics.workflows.corrections.take import run  # only when settings are good

    run(settings)
