"""``lesion-dynamics quality``: pictures of every scan of an inference, and contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.quality_pictures import QualityPicturesSettings


def main(arguments: Sequence[str]) -> int:
    """Draw with Hydra overrides; the exit status."""
    return run_configured(_draw, QualityPicturesSettings, name="quality", arguments=arguments)


def _draw(settings: QualityPicturesSettings) -> None:
    from lesion_dynamics.workflows.quality import run  # only when settings are good

    run(settings)
