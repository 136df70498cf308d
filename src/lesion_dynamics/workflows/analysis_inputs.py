"""What the analysis reads: the cohort's tables and the tables of lesion volumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from lesion_dynamics.atomic_files import hash_of_content, hash_of_file
from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.cohort.reading import read_tables
from lesion_dynamics.cohort.undated import dated_rows, nothing_undated, without_undated
from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.longitudinal.measurements import (
    FILE_NAME,
    TRUTH,
    combine_measurements,
    read_measurements,
    require_known_scans,
)
from lesion_dynamics.longitudinal.new_lesions import read_new_lesions
from lesion_dynamics.longitudinal.tidy_tables import tsv_of
from lesion_dynamics.records.outside_version import read_outside_version
from lesion_dynamics.settings.analysis import AnalyzeSettings


@dataclass(frozen=True)
class AnalysisInputs:
    """The tables, and the hash of each of them.

    tables : without the sessions whose day is unknown. undated : those.
    measurements : all model versions, and the truth if the cohort has one; dated scans alone.
    new_lesions : tracked new lesions of the intervals, or None.
    others : volumes at other operating points, by the name of their line in the panel.
    hashes : from a path or a table's name to SHA-256.
    outside : what stands behind each version whose masks another tool or a person made.
    """

    tables: CohortTables
    measurements: pd.DataFrame
    hashes: dict[str, str]
    new_lesions: pd.DataFrame | None = None
    others: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    undated: pd.DataFrame = field(default_factory=nothing_undated)
    outside: tuple[str, ...] = ()


def read_inputs(settings: AnalyzeSettings) -> AnalysisInputs:
    """Read and check everything.

    Raises
    ------
    CohortError : the cohort's tables cannot be used.
    MeasurementsError : no table of volumes, or one that does not fit the cohort.
    """
    tables = read_tables(settings.cohort)
    paths = measurement_files(settings.measurements)
    truth = settings.cohort.truth
    measured = [_read_known(path, tables, settings) for path in paths]
    if truth is not None:
        measured = [table[table["model_version"] != TRUTH] for table in measured]
        known = _read_known(truth, tables, settings)
        measured.append(known.assign(model_version=TRUTH))
        paths = [*paths, truth]
    where = ", ".join(portable(path) for path in paths)
    measurements = combine_measurements([t for t in measured if len(t)], where=where)
    hashes: dict[str, str] = {}
    for path in paths:
        # Two folders elsewhere may look alike once their absolute part is cut off.
        alike = sum(name.startswith(portable(path)) for name in hashes)
        hashes[portable(path) + (f" ({alike + 1})" if alike else "")] = hash_of_file(path)
    for name in ("participants", "sessions", "attacks"):
        hashes[f"cohort {name}"] = hash_of_content(tsv_of(getattr(tables, name)))
    tracked = None
    if settings.new_lesions is not None:
        tracked = read_new_lesions(settings.new_lesions)
        hashes[portable(settings.new_lesions)] = hash_of_file(settings.new_lesions)
    dated, undated = without_undated(tables, where=settings.cohort.root)
    return AnalysisInputs(
        tables=dated,
        undated=undated,
        measurements=dated_rows(measurements, undated),
        hashes=hashes,
        new_lesions=tracked,
        outside=_outside(paths),
        others={
            name: dated_rows(table, undated)
            for name, table in _read_others(tables, settings, hashes).items()
        },
    )


def _outside(paths: Iterable[Path]) -> tuple[str, ...]:
    found = (read_outside_version(path.parent) for path in paths)
    return tuple(version.description for version in found if version is not None)


def _read_others(
    tables: CohortTables, settings: AnalyzeSettings, hashes: dict[str, str]
) -> dict[str, pd.DataFrame]:
    """Tables of the panel's lines; their hashes are added to ``hashes``."""
    others = {}
    for name, patterns in settings.study.robustness.other_measurements.items():
        paths = measurement_files(patterns)
        read = [_read_known(path, tables, settings) for path in paths]
        others[name] = combine_measurements(read, where=", ".join(map(str, paths)))
        hashes |= {f"{name}: {portable(path)}": hash_of_file(path) for path in paths}
    return others


def _read_known(path: Path, tables: CohortTables, settings: AnalyzeSettings) -> pd.DataFrame:
    table = read_measurements(path)
    cohort = f"{settings.cohort.name} in {settings.cohort.root}"
    require_known_scans(table, tables.sessions, where=path, cohort=cohort)
    return table


def measurement_files(patterns: tuple[str, ...]) -> list[Path]:
    """Files that the paths and patterns stand for, each once, in a stable order.

    Raises
    ------
    MeasurementsError : one of them stands for nothing.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        files = [file for path in _expand(pattern) for file in _tables_at(path)]
        if not files:
            raise MeasurementsError(
                "no table of lesion volumes here",
                where=pattern,
                remedy=f"Run infer.py first, or set measurements to a {FILE_NAME} or its folder.",
            )
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _expand(pattern: str) -> list[Path]:
    plain = Path(pattern).expanduser()
    if plain.exists():
        return [plain]
    start = Path(plain.anchor or ".")
    return sorted(start.glob(str(plain.relative_to(plain.anchor))))


def _tables_at(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    own = path / FILE_NAME
    return [own] if own.is_file() else sorted(path.glob(f"*/{FILE_NAME}"))


def portable(path: Path) -> str:
    """A path that means the same on another machine: relative to here, or the last parts."""
    if not path.is_absolute():
        return path.as_posix()
    here = Path.cwd()
    if path.is_relative_to(here):
        return path.relative_to(here).as_posix()
    return "/".join(("...", *path.parts[-2:]))
