"""Folders, disk, store and data state."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from lesion_dynamics.records.lineage import DATA_FILE, code_folder, data_state, git_state
from lesion_dynamics.records.pinned_data import pinned_state
from lesion_dynamics.records.store_state import store_state
from lesion_dynamics.settings.doctor import DoctorSettings
from lesion_dynamics.workflows.doctor.machine import GB
from lesion_dynamics.workflows.doctor.remark import Remark


def place_remarks(settings: DoctorSettings) -> list[Remark]:
    """All of them, from the current folder."""
    here = Path.cwd()
    return [
        _repository(code_folder()),
        *_folders(settings),
        _disk(settings, here),
        _store(settings),
        _data(settings, here),
        _open_ms(settings.open_ms_data),
    ]


def _repository(here: Path) -> Remark:
    state = git_state(here)
    if state["commit"] is None:
        return Remark(
            "git",
            "note",
            "no repository holds this code: runs will not name it",
            "Work in a clone of the repository.",
        )
    if state["modified"]:
        return Remark(
            "git",
            "note",
            f"commit {state['commit'][:12]} with changes",
            "Commit them: a release is retrained from a commit.",
        )
    return Remark("git", "good", f"commit {state['commit'][:12]}, no changes")


def _folders(settings: DoctorSettings) -> list[Remark]:
    wanted = [*settings.outputs, settings.tracking.folder]
    if settings.cache.folder is not None:
        wanted.append(settings.cache.folder)
    bad = []
    for folder in wanted:
        standing = _nearest(folder)
        if not standing.is_dir():
            bad.append((folder, "a file stands in its place"))
        elif not os.access(standing, os.W_OK | os.X_OK):
            bad.append((folder, "may not be written"))
    if not bad:
        return [Remark("folders", "good", f"{len(wanted)} can be written")]
    remedy = "Change its permissions, or name another folder."
    return [Remark("folders", "problem", f"{folder}: {what}", remedy) for folder, what in bad]


def _nearest(folder: Path) -> Path:
    """The folder itself, or the first one above it that exists."""
    above = [folder.absolute(), *folder.absolute().parents]
    return next(path for path in above if os.path.lexists(path))


def _disk(settings: DoctorSettings, here: Path) -> Remark:
    places = {str(_nearest(folder)) for folder in (*settings.outputs, here)}
    least = min(shutil.disk_usage(place).free for place in places if Path(place).is_dir())
    what = f"{least / GB:.1f} GB free"
    if least < settings.free_gb * GB:
        remedy = "Free some space; runs/preprocessing_cache may be deleted at any time."
        return Remark("disk", "problem", f"{what}; {settings.free_gb:g} GB wanted", remedy)
    return Remark("disk", "good", what)


def _store(settings: DoctorSettings) -> Remark:
    state = store_state(settings.tracking)
    if not state.sound:
        remedy = "Start the server, or correct tracking.uri."
        if settings.tracking.uri is None:
            remedy = "Bring tracking/ back from a backup, or move it back to where it was."
        return Remark("store", "problem", state.what, remedy)
    return Remark("store", "good" if state.made else "note", state.what)


def _data(settings: DoctorSettings, here: Path) -> Remark:
    pinned = data_state(here)
    if pinned["path"] is None:
        return Remark(
            "data", "note", f"no {DATA_FILE} here: runs will not name their data", "dvc add data"
        )
    if not (here / pinned["path"]).is_dir():
        return Remark(
            "data",
            "note",
            f"{DATA_FILE} pins {pinned['path']}, which is not here",
            "dvc pull, or make data for the embedded cohort; other cohorts do not need it.",
        )
    if not settings.data:
        return Remark("data", "good", f"{pinned['path']} is here; data=true compares its bytes")
    try:
        state = pinned_state(here)
    except (OSError, ValueError, subprocess.SubprocessError, json.JSONDecodeError) as error:
        return Remark(
            "data", "problem", f"dvc does not answer ({type(error).__name__})", "dvc doctor"
        )
    if state == "modified":
        return Remark(
            "data",
            "note",
            f"{pinned['path']} is not what {DATA_FILE} pins",
            f"dvc add {pinned['path']} records the new state; dvc checkout brings the old back.",
        )
    return Remark("data", "good", f"{pinned['path']}: {state}")


def _open_ms(folder: Path) -> Remark:
    if folder.is_dir():
        return Remark("open MS data", "good", "found")
    return Remark(
        "open MS data",
        "note",
        "not found; tests on real scans are skipped",
        "Set OPEN_MS_DATA to their folder, if you have them.",
    )
