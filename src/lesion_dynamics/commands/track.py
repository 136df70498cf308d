"""``lesion-dynamics track``: the lesions of every participant followed from session to session."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.lesions_in_time import TrackSettings


def main(arguments: Sequence[str]) -> int:
    """Track with Hydra overrides; the exit status."""
    return run_configured(_track, TrackSettings, name="track", arguments=arguments)


def _track(settings: TrackSettings) -> None:
    from lesion_dynamics.workflows.lesions_in_time.tracking import run  # when settings are good

    run(settings).require_no_failures()
