"""``lesion-dynamics lineage PATH``: the chain behind a table, a mask or a report."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.commands.configured import run_configured
from lesion_dynamics.settings.lineage import LineageSettings


def main(arguments: Sequence[str]) -> int:
    """Tell with Hydra overrides, or with the path alone; the exit status."""
    given = [_as_override(argument) for argument in arguments]
    return run_configured(_tell, LineageSettings, name="lineage", arguments=given)


def _as_override(argument: str) -> str:
    if argument.startswith(("-", "path=", "as_json=", "hydra")):
        return argument
    quoted = argument.replace("\\", "\\\\").replace("'", "\\'")
    return f"path='{quoted}'"


def _tell(settings: LineageSettings) -> None:
    from lesion_dynamics.workflows.lineage.told import run  # only when settings are good

    run(settings)
