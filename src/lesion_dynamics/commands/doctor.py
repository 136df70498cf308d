"""``lesion-dynamics doctor``: what is wrong with the set-up, and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.doctor import DoctorSettings


def main(arguments: Sequence[str]) -> int:
    """Examine with Hydra overrides; the exit status."""
    return run_configured(_examine, DoctorSettings, name="doctor", arguments=arguments)


def _examine(settings: DoctorSettings) -> None:
    from lesion_dynamics.workflows.doctor.examination import run  # only when settings are good

    run(settings)
