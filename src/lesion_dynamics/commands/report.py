"""``lesion-dynamics report``: pages of results that ``analyze.py`` has written."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.study_report import ReportSettings


def main(arguments: Sequence[str]) -> int:
    """Write with Hydra overrides; the exit status."""
    return run_configured(_write, ReportSettings, name="report", arguments=arguments)


def _write(settings: ReportSettings) -> None:
    from lesion_dynamics.workflows.study_report.pages import run  # only when settings are good

    run(settings)
