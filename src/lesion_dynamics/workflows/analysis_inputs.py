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
from lesion_dynamics.longitudinal.new_lesions import TRACKED_FILE, read_new_lesions
from lesion_dynamics.longitudinal.operating_points import ALTERNATIVES_FILE, read_alternatives
from lesion_dynamics.longitudinal.refused_rows import Refusal, read_usable_rows
from lesion_dynamics.longitudinal.repeatability import (
    REPEATABILITY_FILE,
    Repeatability,
    read_repeatability,
)
from lesion_dynamics.longitudinal.tidy_tables import tsv_of
from lesion_dynamics.records.outside_version import read_outside_version
from lesion_dynamics.settings.analysis import AnalyzeSettings


@dataclass(frozen=True)
class AnalysisInputs:
    """The tables, and the hash of each of them.

    tables : without the sessions whose day is unknown. undated : those.
    measurements : all model versions, and the truth if the cohort has one; dated scans alone.
    new_lesions : tracked new lesions of the intervals, or None.
    others : other volumes of the same scans, by the name of their line in the panel.
    alternatives : the same at other operating points, as inference measured them.
    refusals : rows of the measurements that were not used.
    repeatability : by model version, as far as its folder has a record.
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
    alternatives: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    repeatability: Mapping[str, Repeatability] = field(default_factory=dict)

    def lines_of(self, model_version: str) -> dict[str, pd.DataFrame]:
        """The panel's further tables: those declared, and those at other operating points."""
        own = {
            name: table
            for name, table in self.alternatives.items()
            if (table["model_version"] == model_version).any()
        }
        return {**own, **self.others}


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
    measured, refusals = _read_usable(paths, tables)
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
    tracked = _read_tracked(settings, paths, hashes)
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
        alternatives={
            name: dated_rows(table, undated)
            for name, table in _read_alternatives(paths, tables, settings, hashes).items()
        },
        refusals=refusals,
        repeatability=_read_repeatability(paths, hashes),
    )


def _read_tracked(
    settings: AnalyzeSettings, paths: Iterable[Path], hashes: dict[str, str]
) -> pd.DataFrame | None:
    """The table that the settings name, else what tracking left beside the measurements."""
    beside = [path.with_name(TRACKED_FILE) for path in paths]
    named = settings.new_lesions
    files = [path for path in beside if path.is_file()] if named is None else [named]
    for path in files:
        hashes[portable(path)] = hash_of_file(path)
    return pd.concat([read_new_lesions(path) for path in files]) if files else None


def _outside(paths: Iterable[Path]) -> tuple[str, ...]:
    found = (read_outside_version(path.parent) for path in paths)
    return tuple(version.description for version in found if version is not None)


def _read_repeatability(paths: list[Path], hashes: dict[str, str]) -> dict[str, Repeatability]:
    """Records beside the measurements; their hashes are added to ``hashes``."""
    found = {}
    for path in paths:
        beside = path.with_name(REPEATABILITY_FILE)
        if path.name == FILE_NAME and beside.is_file():
            record = read_repeatability(beside)
            found[record.model_version] = record
            hashes[portable(beside)] = hash_of_file(beside)
    return found


def _read_usable(
    paths: list[Path], tables: CohortTables
) -> tuple[list[pd.DataFrame], tuple[Refusal, ...]]:
    """What can be used of each table, and the rows that were refused.

    Raises
    ------
    MeasurementsError : no row of any table can be used.
    """
    read = [read_usable_rows(path, tables.sessions) for path in paths]
    refusals = tuple(refusal for _, own in read for refusal in own)
    usable = [table for table, _ in read if table is not None]
    if not usable:
        raise MeasurementsError(
            f"no row can be used; the first, {refusals[0]}", where=refusals[0].where,
            remedy="Correct the table, or name the cohort that it belongs to.",
        )  # fmt: skip
    return usable, refusals


def _read_alternatives(
    paths: list[Path], tables: CohortTables, settings: AnalyzeSettings, hashes: dict[str, str]
) -> dict[str, pd.DataFrame]:
    """Of every folder of measurements that has them; their hashes are added to ``hashes``."""
    found: dict[str, list[pd.DataFrame]] = {}
    if settings.study.robustness.operating_points:
        cohort = f"{settings.cohort.name} in {settings.cohort.root}"
        for path in paths:
            beside = path.with_name(ALTERNATIVES_FILE)
            if path.name != FILE_NAME or not beside.is_file():
                continue
            for name, table in read_alternatives(beside, read_measurements(path)).items():
                require_known_scans(table, tables.sessions, where=beside, cohort=cohort)
                found.setdefault(name, []).append(table)
            hashes[portable(beside)] = hash_of_file(beside)
    return {name: pd.concat(parts, ignore_index=True) for name, parts in found.items()}


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
