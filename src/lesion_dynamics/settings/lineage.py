"""Settings of ``lesion-dynamics lineage``."""

from __future__ import annotations

from pathlib import Path

from lesion_dynamics.settings.strict import Strict


class LineageSettings(Strict):
    """path : a table, mask, report or folder. as_json : the chain as JSON, hashes whole."""

    path: Path
    as_json: bool = False
