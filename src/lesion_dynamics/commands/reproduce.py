"""``lesion-dynamics reproduce``: train, infer and analyse a release again from its lineage."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.reproduction import ReproduceSettings


def main(arguments: Sequence[str]) -> int:
    """Run with Hydra overrides; the exit status."""
    return run_configured(_reproduce, ReproduceSettings, name="reproduce", arguments=arguments)


def _reproduce(settings: ReproduceSettings) -> None:
    from lesion_dynamics.workflows.reproduction.run import run  # only when settings are good

    run(settings)
