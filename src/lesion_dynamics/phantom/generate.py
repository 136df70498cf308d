"""Generate both cohorts: resumable, the same bytes from the same seed.

Every file appears whole or not at all, and the last file of a scan proves the others; an
interrupted generation goes on with the scans that are missing.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from tqdm import tqdm

from lesion_dynamics import atomic_files
from lesion_dynamics.errors import OutputError
from lesion_dynamics.phantom import study_generation, training_generation, truth
from lesion_dynamics.phantom.anatomy import load_template
from lesion_dynamics.phantom.disease_course import ParticipantCourse, simulate_study
from lesion_dynamics.phantom.training_cohort import TrainingParticipant, training_participants
from lesion_dynamics.settings.phantom import PhantomSettings
from lesion_dynamics.worker_process import follow_parent

RECIPE = 1
"""Raised whenever the same settings give other bytes."""

_LOG = logging.getLogger(__name__)
_DESCRIPTION = "phantom.json"

Task = Callable[[], None]


def generate(settings: PhantomSettings, root: Path, *, processes: int) -> None:
    """Write ``training/``, ``study/`` and ``truth/`` below ``root``.

    A finished generation is left untouched. The number of processes changes nothing but time.

    Raises
    ------
    OutputError : the folder cannot be written, the disk is full, or ``root`` holds a phantom of
        other settings.
    """
    _require_same_phantom(settings, root)
    participants, courses = training_participants(settings), simulate_study(settings)
    tasks = _missing(settings, participants, courses, root)
    if not tasks and (root / truth.MEASUREMENTS).is_file():
        _LOG.info("%s: the phantom is complete", root)
        return
    atomic_files.require_writable_folder(root)
    _remove_partial_files(root)
    atomic_files.write_json(root / _DESCRIPTION, _description(settings))
    training_generation.write_tables(settings, root)
    study_generation.write_tables(courses, root)
    _run(tasks, processes=processes)
    scans = [
        (course.participant_id, session)
        for course in courses
        for session in course.schedule.session_ids
    ]
    truth.write_tables(scans, root)
    _LOG.info(
        "%s: %d training scans and %d study scans of the %s phantom",
        root, len(participants), len(scans), settings.variant,
    )  # fmt: skip


def _description(settings: PhantomSettings) -> dict[str, object]:
    return {"recipe": RECIPE, "settings": settings.model_dump(mode="json")}


def _require_same_phantom(settings: PhantomSettings, root: Path) -> None:
    path = root / _DESCRIPTION
    if not path.is_file():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if found != _description(settings):
        raise OutputError(
            "this folder holds a phantom of other settings or of another recipe",
            where=root,
            remedy="Give another folder with --out, or remove this one first.",
        )


def _missing(
    settings: PhantomSettings, participants: Iterable[TrainingParticipant],
    courses: Iterable[ParticipantCourse], root: Path,
) -> list[Task]:  # fmt: skip
    training = [
        partial(training_generation.write_participant, settings, one, root)
        for one in participants
        if not training_generation.is_written(one, root)
    ]
    study = [
        partial(study_generation.write_participant, settings, course, root)
        for course in courses
        if not study_generation.is_written(course, root)
    ]
    return [*training, *study]


def _remove_partial_files(root: Path) -> None:
    """Remove what a killed generation left of files that it was writing."""
    for path in root.rglob(".partial-*"):
        path.unlink()


def _run(tasks: list[Task], *, processes: int) -> None:
    bar = partial(
        tqdm, total=len(tasks), desc="phantom", unit="participant",
        disable=not sys.stderr.isatty(),
    )  # fmt: skip
    if processes <= 1:
        for task in bar(tasks):
            task()
        return
    pool = ProcessPoolExecutor(
        max_workers=processes,
        # Not forked: the caller may run threads, and a fork copies their locks.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare_worker,
    )
    try:
        futures = [pool.submit(task) for task in tasks]
        for future in bar(as_completed(futures)):
            future.result()
    except BrokenProcessPool:
        raise OutputError(
            "a process of the generation was killed (out of memory?)",
            where="phantom",
            remedy="Start the same command again, with fewer --processes: it goes on from here.",
        ) from None
    finally:
        # On an error or an interruption the tasks that have not begun never begin.
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker() -> None:
    follow_parent()
    load_template()
