"""What one process does: one participant's page and pictures, unless they are up to date."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from lesion_dynamics import __version__
from lesion_dynamics.atomic_files import (
    hash_of_content,
    hash_of_file,
    write_bytes,
    write_json,
    write_text,
)
from lesion_dynamics.errors import ScanError
from lesion_dynamics.report.scan_pages.content import IndexEntry, IndexSession
from lesion_dynamics.report.scan_pages.participant_page import participant_page
from lesion_dynamics.report.scan_pages.text import asset_bytes
from lesion_dynamics.source_hash import hash_of_source
from lesion_dynamics.workflows.scan_pages.images import (
    SessionImages,
    disagreement,
    read_session,
)
from lesion_dynamics.workflows.scan_pages.tasks import ParticipantTask
from lesion_dynamics.workflows.scan_pages.views import fitting_view

THUMBNAILS = "thumbnails"
_SOURCE = (
    "imaging",
    "preprocessing/resampling",
    "report/quality_panels",
    "report/scan_pages",
    "report/style",
    "workflows/scan_pages",
)
_ASSETS = ("viewer.js", "pages.css")


@dataclass(frozen=True, slots=True)
class Built:
    """What became of one participant. kept : the page was up to date."""

    entry: IndexEntry
    kept: bool


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Where pages go and how large they may be."""

    folder: Path
    largest_bytes: int
    finest_mm: float


_limits: PageLimits | None = None


def begin_pages(limits: PageLimits) -> None:
    """Initialise this process."""
    global _limits
    _limits = limits


def build_participant(task: ParticipantTask) -> Built:
    """Write ``sub-X.html`` and its thumbnails, unless those there were made from the same.

    Raises
    ------
    ScanError : an image cannot be used.
    """
    assert _limits is not None, "begin_pages initialises every process"
    key = _key(task, _limits)
    ledger = _limits.folder / f"{task.participant_id}.json"
    kept = _kept(ledger, key)
    if kept is not None:
        return Built(kept, kept=True)
    task, sessions = _usable(task)
    made = fitting_view(
        task,
        sessions,
        largest_bytes=_limits.largest_bytes,
        finest_mm=_limits.finest_mm,
        page_of=participant_page,
    )
    ledger.unlink(missing_ok=True)
    page = _limits.folder / f"{task.participant_id}.html"
    write_text(page, made.page)
    written = [page]
    for one, picture in zip(task.sessions, made.pictures, strict=True):
        path = _limits.folder / _thumbnail(task.participant_id, one.session_id)
        write_bytes(path, picture)
        written.append(path)
    entry = _entry(task, sessions)
    hashes = {str(p.relative_to(_limits.folder)): hash_of_file(p) for p in written}
    write_json(ledger, {"Key": key, "OutputHashes": hashes, "Entry": _as_json(entry)})
    return Built(entry, kept=False)


def _usable(task: ParticipantTask) -> tuple[ParticipantTask, list[SessionImages]]:
    """The sessions whose images can be shown; the others become remarks.

    Raises
    ------
    ScanError : there is none.
    """
    shown: list[SessionImages] = []
    remarks: list[str] = []
    for one in task.sessions:
        try:
            shown.append(read_session(one))
        except ScanError as error:
            if len(remarks) == len(task.sessions) - 1:
                raise
            remarks.append(f"Not shown: {one.session_id}: {error}")
    kept = replace(
        task,
        sessions=tuple(one.task for one in shown),
        remarks=(*task.remarks, *remarks),
    )
    return kept, shown


def _thumbnail(participant_id: str, session_id: str) -> str:
    return f"{THUMBNAILS}/{participant_id}_{session_id}.webp"


def _key(task: ParticipantTask, limits: PageLimits) -> str:
    """Hash of all that a page depends on: bytes of images, what tables say, code, limits."""
    paths = [one.flair for one in task.sessions]
    paths += [path for one in task.sessions for layer in one.layers for path in layer.files]
    return hash_of_content(
        {
            "task": _as_json(task),
            "files": {str(path): hash_of_file(path) for path in paths if path.is_file()},
            "source": _code(),
            "largest_bytes": limits.largest_bytes,
            "finest_mm": limits.finest_mm,
        }
    )


@cache
def _code() -> str:
    assets = [hash_of_content(asset_bytes(name).decode("utf-8")) for name in _ASSETS]
    return hash_of_content([__version__, hash_of_source(*_SOURCE), *assets])


def _kept(ledger: Path, key: str) -> IndexEntry | None:
    """The entry of a page that is there and was made from the same, else None."""
    try:
        content = json.loads(ledger.read_text(encoding="utf-8"))
        if content["Key"] != key:
            return None
        for name, written in content["OutputHashes"].items():
            if hash_of_file(ledger.parent / name) != written:
                return None
        return _entry_from(content["Entry"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _entry(task: ParticipantTask, sessions: list[SessionImages]) -> IndexEntry:
    apart = [d for d in map(disagreement, sessions) if math.isfinite(d[0])]
    worst = max(apart, default=(math.nan, math.nan))
    volumes = [
        (one.days, one.layers[0].lesion_volume_mm3)
        for one in task.sessions
        if one.layers and math.isfinite(one.layers[0].lesion_volume_mm3)
    ]
    return IndexEntry(
        participant_id=task.participant_id,
        diagnosis=task.diagnosis,
        sessions=tuple(
            IndexSession(
                session_id=one.session_id,
                days=one.days,
                lesion_volume_mm3=one.layers[0].lesion_volume_mm3 if one.layers else math.nan,
                flag_count=one.flag_count,
                flags=one.flags,
                thumbnail=_thumbnail(task.participant_id, one.session_id),
            )
            for one in task.sessions
        ),
        change_mm3=volumes[-1][1] - volumes[0][1] if len(volumes) > 1 else math.nan,
        disagreement_mm3=worst[0],
        disagreement_dice=worst[1],
    )


def _as_json(content: Any) -> Any:
    """Dataclasses as plain values; NaN, which JSON has not, as null; paths as text."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return str(value) if isinstance(value, Path) else value

    return plain(asdict(content))


def _entry_from(content: dict[str, Any]) -> IndexEntry:
    def numbers(values: dict[str, Any]) -> dict[str, Any]:
        return {k: math.nan if v is None else v for k, v in values.items()}

    sessions = tuple(IndexSession(**numbers(one)) for one in content["sessions"])
    return IndexEntry(**{**numbers(content), "sessions": sessions})
