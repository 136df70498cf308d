"""``lesion-dynamics import file=...``: a model version from the file that export wrote."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.releases import ImportSettings


def main(arguments: Sequence[str]) -> int:
    """Run with Hydra overrides; the exit status."""
    return run_configured(_import, ImportSettings, name="import_version", arguments=arguments)


def _import(settings: ImportSettings) -> None:
    from lesion_dynamics.workflows.releases.carrying import import_version  # when settings are good

    import_version(settings)
