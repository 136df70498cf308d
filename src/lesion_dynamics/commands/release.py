"""``lesion-dynamics release``: the study for a model version, beside all others."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.release import ReleaseSettings


def main(arguments: Sequence[str]) -> int:
    """Run with Hydra overrides; the exit status."""
    return run_configured(_release, ReleaseSettings, name="release", arguments=arguments)


def _release(settings: ReleaseSettings) -> None:
    from lesion_dynamics.workflows.releases.release import run  # only when settings are good

    run(settings)
