"""``lesion-dynamics measure-masks``: a folder of lesion masks becomes a table of volumes."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.measuring import MeasureMasksSettings


def main(arguments: Sequence[str]) -> int:
    """Measure with Hydra overrides; the exit status."""
    return run_configured(_measure, MeasureMasksSettings, name="measure_masks", arguments=arguments)


def _measure(settings: MeasureMasksSettings) -> None:
    from lesion_dynamics.workflows.measuring.measure_masks import measure_masks

    measure_masks(settings).require_no_failures()
