"""Settings of ``lesion-dynamics report``: pages of results that ``analyze.py`` has written."""

from __future__ import annotations

from pathlib import Path

from lesion_dynamics.settings.strict import Strict

MANIFEST_FOLDERS = ("models", "tracking/artifacts")
"""Where trainings of this folder leave manifests."""


class ReportSettings(Strict):
    """All of ``lesion-dynamics report``.

    results : folder that ``analyze.py`` wrote; the pages go into its folder ``report``.
    model_version : the one whose page is made, beside the comparison; None: all of them.
    measurements : tables of lesion volumes or their folders, as for ``analyze.py``; empty: those
        that the analysis read, as far as they are still there.
    models : folders that hold manifests of model versions, for validation and lineage.
    """

    results: Path
    model_version: str | None = None
    measurements: tuple[str, ...] = ()
    models: tuple[str, ...] = MANIFEST_FOLDERS
