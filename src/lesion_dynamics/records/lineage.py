"""Where a result comes from: code, data, environment. Nothing identifying."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import yaml

from lesion_dynamics import __version__
from lesion_dynamics.source_hash import LIBRARIES

DATA_FILE = "data.dvc"
_CHECKOUT = Path(__file__).resolve().parents[3]
_DECISIVE = (
    "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile",
    "amx_bf16", "amx_int8", "asimd", "bf16", "sve", "sve2",
)  # fmt: skip
"""Instructions by which the libraries choose their arithmetic, as Linux calls them."""


def code_folder() -> Path:
    """The checkout that this package is run from; the current folder where it is installed."""
    return _CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() else Path.cwd()


def below_the_code(path: Path | None) -> str | None:
    """A path as it stands below the code's checkout; None for one that lies elsewhere."""
    top = code_folder().resolve()
    if path is None or not path.resolve().is_relative_to(top):
        return None
    return path.resolve().relative_to(top).as_posix()


def git_state(folder: Path) -> dict[str, Any]:
    """Commit and whether tracked files differ from it; None where there is no repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "modified": None if changed is None else bool(changed)}


def data_state(folder: Path) -> dict[str, Any]:
    """What ``data.dvc`` in ``folder`` pins: the DVC hash of the cohort's bytes, or None."""
    path = folder / DATA_FILE
    if not path.is_file():
        return {"dvc_md5": None, "path": None}
    pinned = yaml.safe_load(path.read_text(encoding="utf-8"))["outs"][0]
    return {"dvc_md5": pinned.get("md5"), "path": pinned.get("path")}


def environment() -> dict[str, Any]:
    """Python, operating system, and the version of every installed package."""
    packages = {
        distribution.metadata["Name"]: distribution.version
        for distribution in importlib.metadata.distributions()
        if distribution.metadata["Name"]
    }
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": platform.machine(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def machine() -> dict[str, Any]:
    """The kind of machine and the libraries that decide a voxel; no name of a machine or person."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        **_processor_kind(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "lesion-dynamics": __version__,
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _processor_kind(said: Path) -> dict[str, Any]:
    """Maker and decisive instructions, where the system tells them (Linux)."""
    try:
        lines = said.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    first = {name.strip(): value.strip() for name, _, value in pairs}
    flags = set((first.get("flags") or first.get("Features") or "").split())
    maker = first.get("vendor_id") or first.get("CPU implementer")
    return {"maker": maker, "instructions": [name for name in _DECISIVE if name in flags]}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
