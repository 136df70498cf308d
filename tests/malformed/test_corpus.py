"""Every entry of the corpus, through the real inference."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.malformed.entry import Entry
from tests.malformed.file_entries import FILES
from tests.malformed.good_cohort import (
    DAMAGED,
    SCANS,
    Outcome,
    infer,
    settings_for,
    write_cohort,
    write_model_version,
)
from tests.malformed.header_entries import HEADERS
from tests.malformed.layout_entries import LAYOUTS
from tests.malformed.manifest_entries import MANIFESTS
from tests.malformed.privileges import unprivileged
from tests.malformed.table_entries import TABLES

from lesion_dynamics.errors import LONGEST_PART
from lesion_dynamics.settings.inference import InferSettings

CORPUS = [*HEADERS, *FILES, *TABLES, *LAYOUTS, *MANIFESTS]
PATIENCE_S = 60
LONGEST_LINE = 4 * LONGEST_PART


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sound cohort and the model version. Never write into it."""
    place = tmp_path_factory.mktemp("sound")
    write_cohort(place / "cohort")
    write_model_version(place / "model")
    return place


@pytest.fixture(scope="module")
def baseline(sound: Path) -> pd.DataFrame:
    """The table of the undamaged cohort."""
    with pytest.MonkeyPatch.context() as patch:
        outcome = infer(settings_for(sound), patch, _NoLog())
    assert outcome.left_out == []
    table = outcome.table
    assert list(table.index) == list(SCANS)
    assert ((table["lesion_volume_mm3"] > 5000) & (table["lesion_volume_mm3"] < 100_000)).all()
    assert table["lesion_volume_mm3"].is_unique
    return table


class _NoLog:
    records: tuple[logging.LogRecord, ...] = ()

    @staticmethod
    def at_level(_: int) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


@pytest.fixture
def patience() -> Iterator[None]:
    """What waits for ever (a pipe nobody writes into) fails instead."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"no end within {PATIENCE_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def place(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sound cohort, and another folder to be in."""
    shutil.copytree(sound, tmp_path / "place", ignore=shutil.ignore_patterns("out"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "place/out").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "place"


def everything_but(out: Path, top: Path) -> dict[str, tuple[int, int, int]]:
    """Mode, size and time of change of whatever lies below ``top``, except below ``out``."""
    found = {}
    for path in sorted(top.rglob("*")):
        if path != out and not path.is_relative_to(out):
            state = path.lstat()
            found[str(path)] = (state.st_mode, state.st_size, state.st_mtime_ns)
    return found


def settings_of(entry: Entry, place: Path) -> InferSettings:
    root = place / "cohort"
    own = {key: text.format(root=root) for key, text in entry.settings.items()}
    return settings_for(place, cohort=entry.cohort, **own)


def the_one_line(entry: Entry, lines: list[str]) -> None:
    (line,) = [line for line in lines if entry.file in line]
    assert line.isprintable(), line
    assert len(line) < LONGEST_LINE
    assert entry.says in line
    assert entry.way_out in line
    assert "Traceback" not in line


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    assert len(CORPUS) >= 100
    assert len({entry.name for entry in CORPUS}) == len(CORPUS)
    for entry in CORPUS:
        if entry.expected != "read":
            assert entry.file
            assert entry.way_out, entry.name


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("entry", CORPUS, ids=[entry.name for entry in CORPUS])
def test_entry(
    entry: Entry,
    place: Path,
    baseline: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    entry.damage(place / "cohort")
    settings = settings_of(entry, place)
    before = everything_but(settings.output, place.parent)
    with unprivileged() if entry.unprivileged else contextlib.nullcontext():
        outcome = infer(settings, monkeypatch, caplog)
    assert everything_but(settings.output, place.parent) == before
    assert not any(record.exc_info for record in outcome.lines)
    if entry.expected == "refused":
        assert_refused(entry, outcome)
        return
    assert outcome.refusal is None, outcome.refusal
    lines = [record.getMessage() for record in outcome.lines]
    lost = [key for key in SCANS if key[0] == entry.who[0] and entry.who[1] in (key[1], None)]
    lost = lost if entry.expected == "excluded" else []
    if entry.expected == "excluded" or entry.says:
        the_one_line(entry, lines)
    assert_numbers(entry, outcome, baseline, lost)


def assert_refused(entry: Entry, outcome: Outcome) -> None:
    assert outcome.refusal is not None
    the_one_line(entry, [str(outcome.refusal)])
    assert not [path for path in outcome.out.rglob("*") if path.is_file()]
    assert outcome.lines == []


def assert_numbers(
    entry: Entry, outcome: Outcome, baseline: pd.DataFrame, lost: list[tuple[str, str]]
) -> None:
    """The good scans' rows are those of the undamaged cohort; who is left out has no number."""
    left_out = [(row["participant_id"], row["session_id"]) for row in outcome.left_out]
    assert left_out == ([entry.who] if lost else [])
    table = outcome.table[outcome.table["status"] == "measured"]
    assert list(table.index) == [key for key in SCANS if key not in lost]
    same = table.index if not entry.changes else table.index.drop(DAMAGED)
    pd.testing.assert_frame_equal(table.loc[same], baseline.loc[same])
    failed: Any = outcome.table.drop(table.index)
    assert np.isnan(failed["lesion_volume_mm3"].to_numpy(dtype=float)).all()
    for reason in failed["reason"]:
        assert entry.file in reason
        assert entry.way_out in reason
