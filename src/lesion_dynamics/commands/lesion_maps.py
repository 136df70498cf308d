"""``lesion-dynamics lesion-maps``: where lesions lie in MNI space, by diagnosis, and compared."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.lesion_maps import LesionMapsSettings


def main(arguments: Sequence[str]) -> int:
    """Map with Hydra overrides; the exit status."""
    return run_configured(_map, LesionMapsSettings, name="lesion_maps", arguments=arguments)


def _map(settings: LesionMapsSettings) -> None:
    from lesion_dynamics.workflows.lesions_in_time.lesion_maps import run  # when settings are good

    run(settings)
