"""``lesion-dynamics promote``: candidate to champion, through gates."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.promotion import PromoteSettings


def main(arguments: Sequence[str]) -> int:
    """Run with Hydra overrides; the exit status."""
    return run_configured(_promote, PromoteSettings, name="promote", arguments=arguments)


def _promote(settings: PromoteSettings) -> None:
    from lesion_dynamics.workflows.releases.promotion import promote  # only when settings are good

    promote(settings)
