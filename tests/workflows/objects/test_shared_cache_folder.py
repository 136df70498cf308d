"""Inferences at once on one cohort in a store, with one cache folder, leave each other be."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
from pathlib import Path

import fsspec
import pytest
from tests.conftest import Workplace

from lesion_dynamics.atomic_files import partial_prefix
from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.errors import CohortError, OutputError
from lesion_dynamics.model_version import ModelVersion, load_manifest
from lesion_dynamics.preprocessing.step_cache import trim
from lesion_dynamics.records.shipped import SHIPPED_FOLDER
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.workflows.objects import streamed_cohort
from lesion_dynamics.workflows.objects.mirror import Mirror
from lesion_dynamics.workflows.objects.staging import staged
from lesion_dynamics.workflows.objects.streamed_cohort import StreamedCohort
from lesion_dynamics.workflows.objects.streaming import segment_streamed

WHO = ("sub-a", "sub-b", "sub-c", "sub-d")
SCAN_BYTES = 1000


@pytest.fixture
def cohort(memory: fsspec.AbstractFileSystem) -> fsspec.AbstractFileSystem:
    rows = "".join(f"{who}\tMS\n" for who in WHO)
    memory.pipe("/cohort/participants.tsv", f"participant_id\tdiagnosis\n{rows}".encode())
    for who in WHO:
        sessions = b"session_id\tdays_from_baseline\nses-1\t0\n"
        memory.pipe(f"/cohort/{who}/{who}_sessions.tsv", sessions)
        for name in ("FLAIR", "T1w"):
            path = f"/cohort/{who}/ses-1/anat/{who}_ses-1_{name}.nii.gz"
            memory.pipe(path, who[-1].encode() * SCAN_BYTES)
    return memory


def settings_of(tmp_path: Path, *overrides: str) -> InferSettings:
    """One participant at a time."""
    return Workplace(tmp_path, tmp_path).inference(
        "cohort.root=memory://cohort", "output=memory://out", f"cache.folder={tmp_path}/cache",
        "cache.objects_gb=1e-9", *overrides,
    )  # fmt: skip


def images(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.nii.gz")}


def scan_of(who: str) -> dict[str, bytes]:
    content = who[-1].encode() * SCAN_BYTES
    return {f"{who}_ses-1_{name}.nii.gz": content for name in ("FLAIR", "T1w")}


@pytest.mark.parametrize(
    ("one", "two"),
    [("part=1/2", "part=2/2"), ("part=1/2", "part=1/2")],
    ids=["two parts", "one part, two model versions"],
)
def test_two_at_once_have_their_own_scans_from_the_first_to_the_last(
    cohort: fsspec.AbstractFileSystem,
    tmp_path: Path,
    one: str,
    two: str,
) -> None:
    sources = [StreamedCohort.opened(settings_of(tmp_path, part)) for part in (one, two)]
    due = [list(source.tables.participants["participant_id"]) for source in sources]
    first, second = (source.parts(own) for source, own in zip(sources, due, strict=True))
    part, root = next(first)
    assert images(root) == scan_of(part[0])
    other, others = next(second)  # begins while the first is at work
    trim(sources[1].settings.cache)  # as every inference does
    assert images(root) == scan_of(part[0])
    assert images(others) == scan_of(other[0])
    part, root = next(first)
    assert list(second) != []  # and ends before it
    assert images(root) == scan_of(part[0])
    assert list(first) == []
    assert images(tmp_path) == {}
    assert not [path for path in (tmp_path / "cache").rglob("*") if ".parts" in path.name]


def test_scans_that_a_killed_inference_left_go_and_those_of_a_living_one_stay(
    cohort: fsspec.AbstractFileSystem,
    tmp_path: Path,
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    source = StreamedCohort.opened(settings_of(tmp_path))
    name = f"{partial_prefix()}x-y.parts".replace(f"-{os.getpid()}-", f"-{gone.pid}-")
    left = source.settings.cohort.root.with_name(name)
    (left / "0").mkdir(parents=True)
    (left / "0/sub-a_ses-1_FLAIR.nii.gz").write_bytes(b"left")
    living = source.parts(["sub-a"])
    _, root = next(living)
    assert not left.exists()
    with_next = StreamedCohort.opened(settings_of(tmp_path)).parts(["sub-b"])
    next(with_next)
    assert images(root) == scan_of("sub-a")
    for reader in (living, with_next):
        reader.close()
    assert images(tmp_path) == {}


@pytest.mark.parametrize("sequence", ["FLAIR", "T1w"])
def test_an_image_that_vanishes_before_it_is_read_is_an_error_and_no_missing_sequence(
    cohort: fsspec.AbstractFileSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sequence: str,
) -> None:
    manifest = load_manifest(SHIPPED_FOLDER)
    version = ModelVersion(manifest.name, 1, manifest, SHIPPED_FOLDER / "weights.safetensors")
    hold = Mirror.hold

    def hold_and_lose(self: Mirror, there: dict[str, str]) -> int:
        moved = hold(self, there)
        for path in self.folder.rglob(f"*_{sequence}.nii.gz"):
            path.unlink()
        return moved

    source = StreamedCohort.opened(settings_of(tmp_path))
    monkeypatch.setattr(Mirror, "hold", hold_and_lose)
    lost = f"sub-a/ses-1/anat/sub-a_ses-1_{sequence}.nii.gz"
    with pytest.raises(CohortError, match=f"1 file.* have vanished while in use; .*: {lost}"):
        segment_streamed(source, version, tmp_path / "out", None)
    assert images(tmp_path) == {}  # the other sequence, and what was on its way


def test_tables_are_read_before_another_inference_may_change_their_copy(
    cohort: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path)
    waits_or_done = threading.Event()
    flock, read_tables = fcntl.flock, streamed_cohort.read_tables
    others: list[StreamedCohort] = []

    def watched_flock(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            waits_or_done.set()
        flock(descriptor, operation)

    def open_other() -> None:
        others.append(StreamedCohort.opened(settings))
        waits_or_done.set()

    other = threading.Thread(target=open_other)

    def read_late(cohort_settings: CohortSettings) -> CohortTables:
        monkeypatch.undo()
        monkeypatch.setattr(fcntl, "flock", watched_flock)
        cohort.rm("/cohort/sub-b", recursive=True)
        other.start()
        assert waits_or_done.wait(10)
        return read_tables(cohort_settings)

    monkeypatch.setattr(streamed_cohort, "read_tables", read_late)
    tables = StreamedCohort.opened(settings).tables
    other.join()
    # A participant without a folder would count as one without sessions.
    assert list(tables.sessions["participant_id"]) == list(WHO)
    assert list(others[0].tables.sessions["participant_id"]) == ["sub-a", "sub-c", "sub-d"]


def test_a_cache_folder_that_cannot_be_written_is_said(
    cohort: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        StreamedCohort.opened(settings_of(tmp_path))


def test_a_copy_of_the_whole_cohort_is_made_by_one_at_a_time(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/cohort/patient1/scan", b"scan")
    settings = settings_of(tmp_path, "cohort.layout=open_ms")
    fetched: list[int] = []
    fetch, flock = Mirror.fetch, fcntl.flock
    waits_or_done = threading.Event()

    def watched_flock(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            waits_or_done.set()
        flock(descriptor, operation)

    def second() -> None:
        staged(settings)
        waits_or_done.set()

    other = threading.Thread(target=second)

    def slow_fetch(self: Mirror, *, without: tuple[str, ...] = ()) -> int:
        if not other.ident:
            other.start()
            assert waits_or_done.wait(10)
        fetched.append(fetch(self, without=without))
        return fetched[-1]

    monkeypatch.setattr(fcntl, "flock", watched_flock)
    monkeypatch.setattr(Mirror, "fetch", slow_fetch)
    root = staged(settings).cohort.root
    other.join()
    assert fetched == [1, 0]  # the second finds everything there, by the first's index
    assert (root / "patient1/scan").read_bytes() == b"scan"
