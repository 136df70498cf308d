"""Where the files of a model version lie: its derivatives, its manifest, its maps and pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.longitudinal.measurements import FILE_NAME, read_measurements
from lesion_dynamics.longitudinal.repeatability import REPEATABILITY_FILE, read_repeatability
from lesion_dynamics.model_version import MANIFEST_FILE, Manifest
from lesion_dynamics.records.outside_version import read_outside_version
from lesion_dynamics.records.shipped import SHIPPED_FOLDER
from lesion_dynamics.report.html.facts import VersionFacts
from lesion_dynamics.settings.operating_point import OperatingPoint

SCAN_PAGES = Path("pages") / "index.html"
_DEEPEST = 5
"""Folders below those named in which a manifest is looked for; a registry has four."""


def facts_of_versions(
    measurements: Iterable[Path], models: Sequence[str]
) -> dict[str, VersionFacts]:
    """What is known of each model version in the tables of lesion volumes.

    Parameters
    ----------
    measurements : files. models : folders that hold manifests, at any depth up to five.
    """
    manifests = _manifests(models)
    found = {}
    for path in measurements:
        table = read_measurements(path)
        for version, rows in table.groupby("model_version", sort=False):
            found[str(version)] = _facts(path, rows, manifests)
    return found


def _facts(path: Path, rows: pd.DataFrame, manifests: dict[str, dict[str, Any]]) -> VersionFacts:
    weights = str(rows["weights_sha256"].fillna("").iloc[0])
    own = path.name == FILE_NAME
    record = path.with_name(REPEATABILITY_FILE)
    outside = read_outside_version(path.parent) if own else None
    return VersionFacts(
        folder=path.parent if own else None,
        manifest=manifests.get(weights),
        weights_sha256=weights,
        operating_point=_operating_point(rows),
        repeatability=read_repeatability(record) if own and record.is_file() else None,
        outside="" if outside is None else outside.description,
    )


def _operating_point(rows: pd.DataFrame) -> OperatingPoint | None:
    names = ["probability_threshold", "minimum_lesion_volume_mm3", "connectivity"]
    known = rows[names].apply(pd.to_numeric, errors="coerce").dropna()
    if known.empty:
        return None
    values = known.iloc[0].to_dict()
    try:
        return OperatingPoint.model_validate({**values, "connectivity": int(values[names[2]])})
    except ValidationError:
        return None


def _manifests(models: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Manifests by the hash of their weights; the shipped baseline's is always known."""
    found = {}
    for path in _manifest_files([*map(Path, models), SHIPPED_FOLDER]):
        try:
            manifest = Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError):
            continue  # another program's file of the same name
        found[manifest.weights_sha256] = manifest.model_dump(mode="json")
    return found


def _manifest_files(folders: Iterable[Path]) -> list[Path]:
    return [
        path
        for folder in folders
        if folder.is_dir()
        for depth in range(_DEEPEST + 1)
        for path in sorted(folder.glob("/".join(["*"] * depth + [MANIFEST_FILE])))
    ]


def require_folder(folder: Path) -> None:
    """Raise `MeasurementsError` where there is no folder of results."""
    if not folder.is_dir():
        raise MeasurementsError(
            "there is no folder of results here", where=folder,
            remedy="Run analyze.py first, then name its results folder: results=results/study.",
        )  # fmt: skip
