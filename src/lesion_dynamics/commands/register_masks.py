"""``lesion-dynamics register-masks``: masks of another tool become a version of their own."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.outside_masks import RegisterMasksSettings


def main(arguments: Sequence[str]) -> int:
    """Register with Hydra overrides; the exit status."""
    return run_configured(
        _register, RegisterMasksSettings, name="register_masks", arguments=arguments
    )


def _register(settings: RegisterMasksSettings) -> None:
    from lesion_dynamics.workflows.outside_masks import register_masks  # when settings are good

    register_masks(settings).require_no_failures()
