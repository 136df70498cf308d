"""``lesion-dynamics parity``: two versions on the same scans."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.releases import ParitySettings


def main(arguments: Sequence[str]) -> int:
    """Compare with Hydra overrides; the exit status."""
    return run_configured(_compare, ParitySettings, name="parity", arguments=arguments)


def _compare(settings: ParitySettings) -> None:
    from lesion_dynamics.workflows.releases.parity import run  # only when settings are good

    run(settings)
