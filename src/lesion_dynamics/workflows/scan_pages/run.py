"""Pages of a cohort: what an inference wrote, made to be looked through."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lesion_dynamics.atomic_files import require_writable_folder, write_bytes, write_text
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.report.scan_pages.content import IndexEntry
from lesion_dynamics.report.scan_pages.index_page import index_page
from lesion_dynamics.report.scan_pages.participant_page import VIEWER_FILE, problem_page
from lesion_dynamics.report.scan_pages.text import asset_bytes
from lesion_dynamics.settings.scan_pages import ScanPagesSettings
from lesion_dynamics.workflows.lineage.derived import every_file, write_derived_lineage
from lesion_dynamics.workflows.processes import in_processes
from lesion_dynamics.workflows.scan_pages.tasks import (
    ParticipantTask,
    VersionTables,
    participant_tasks,
    read_version,
)
from lesion_dynamics.workflows.scan_pages.worker import (
    THUMBNAILS,
    PageLimits,
    begin_pages,
    build_participant,
)

_LOG = logging.getLogger(__name__)
FOLDER = "pages"
INDEX = "index.html"
_OURS = re.compile(r"(sub-[0-9A-Za-z]+)(_ses-[0-9A-Za-z]+)?\.(html|json|webp)")


@dataclass(frozen=True, slots=True)
class ScanPages:
    """index : the cohort's page. made, kept : participants. failed : reasons, one a participant."""

    index: Path
    made: int
    kept: int
    failed: tuple[str, ...]


def run(settings: ScanPagesSettings) -> ScanPages:
    """Write a page a participant and ``index.html``; what has not changed is kept.

    Raises
    ------
    UserError : nothing was segmented there, the cohort is another one, two folders of one version.
    """
    versions = _versions([settings.derivatives, *settings.compare])
    folder = settings.output or settings.derivatives / FOLDER
    tasks = participant_tasks(read_cohort(settings.cohort), versions, pages=folder)
    require_writable_folder(folder)
    _write_viewer(folder / VIEWER_FILE)
    limits = PageLimits(folder, int(settings.largest_mb * 1e6), settings.finest_mm)
    entries: list[IndexEntry] = []
    failed: list[str] = []
    kept = 0
    for done in in_processes(
        build_participant,
        tasks,
        processes=settings.processes,
        description="pages of participants",
        initializer=begin_pages,
        arguments=(limits,),
    ):
        if done.result is None:
            entries.append(_failed(folder, done.item, done.failure or ""))
            failed.append(f"{done.item.participant_id}: {done.failure}")
        else:
            entries.append(done.result.entry)
            kept += done.result.kept
    labels = [one.label for one in versions]
    write_text(folder / INDEX, index_page(entries, cohort=settings.cohort.name, versions=labels))
    _remove_stale(folder, {one.participant_id for one in tasks})
    write_derived_lineage(
        folder,
        command="scan-pages",
        source=("report/scan_pages", "workflows/scan_pages", "imaging"),
        outputs=every_file(folder),
        settings=settings,
        made_from=[settings.derivatives, *settings.compare],
        cohort_root=settings.cohort.root,
    )
    for reason in failed:
        _LOG.warning("no page: %s", reason)
    made = len(entries) - kept - len(failed)
    _LOG.info("pages: %d made, %d up to date, %d failed. Open %s", made, kept, len(failed),
              folder / INDEX)  # fmt: skip
    return ScanPages(folder / INDEX, made, kept, tuple(failed))


def _versions(folders: Sequence[Path]) -> list[VersionTables]:
    versions = [read_version(folder) for folder in folders]
    seen: dict[str, Path] = {}
    for one in versions:
        if one.label in seen:
            raise ConfigurationError(
                f"{one.label} is in {seen[one.label]} too",
                where=one.folder,
                remedy="Name every model version once.",
            )
        seen[one.label] = one.folder
    return versions


def _write_viewer(path: Path) -> None:
    licence = asset_bytes("niivue-licences.txt").decode("utf-8").replace("*/", "* /")
    content = f"/*!\n{licence}*/\n".encode() + asset_bytes("niivue.umd.js")
    if not path.is_file() or path.read_bytes() != content:
        write_bytes(path, content)


def _failed(folder: Path, task: ParticipantTask, problem: str) -> IndexEntry:
    (folder / f"{task.participant_id}.json").unlink(missing_ok=True)
    page = problem_page(cohort=task.cohort, participant_id=task.participant_id, problem=problem)
    write_text(folder / f"{task.participant_id}.html", page)
    nothing = float("nan")
    return IndexEntry(
        task.participant_id, task.diagnosis, (), nothing, nothing, nothing, problem=problem
    )


def _remove_stale(folder: Path, participants: set[str]) -> None:
    """Pages of participants who are no longer in the cohort."""
    for path in [*folder.glob("sub-*"), *(folder / THUMBNAILS).glob("sub-*")]:
        named = _OURS.fullmatch(path.name)
        if named is not None and named[1] not in participants:
            path.unlink()
