"""``lesion-dynamics scan-pages``: a page a participant with all sessions, and one of the cohort."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.scan_pages import ScanPagesSettings


def main(arguments: Sequence[str]) -> int:
    """Make the pages with Hydra overrides; the exit status."""
    return run_configured(_make, ScanPagesSettings, name="scan_pages", arguments=arguments)


def _make(settings: ScanPagesSettings) -> None:
    from lesion_dynamics.workflows.scan_pages.run import run  # only when settings are good

    run(settings)
