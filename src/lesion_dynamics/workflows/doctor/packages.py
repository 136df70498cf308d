"""Python and its packages against the tested versions."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

from lesion_dynamics.workflows.doctor.remark import Remark

_OLDEST, _NEWEST = (3, 11), (3, 13)
_SHOWN = 5


def package_remarks(constraints: Path) -> list[Remark]:
    """Python's version, packages that are missing, and those of another version than tested."""
    return [_python(), _packages(constraints)]


def _python() -> Remark:
    here = ".".join(map(str, sys.version_info[:3]))
    if not _OLDEST <= sys.version_info[:2] <= _NEWEST:
        wanted = f"{_OLDEST[0]}.{_OLDEST[1]} to {_NEWEST[0]}.{_NEWEST[1]}"
        return Remark("Python", "problem", f"{here}; {wanted} is needed", "make setup PYTHON=...")
    return Remark("Python", "good", here)


def _packages(constraints: Path) -> Remark:
    if not constraints.is_file():
        return Remark(
            "packages",
            "note",
            f"no file {constraints} to compare with",
            "Start the command in the repository's folder.",
        )
    tested = _tested(constraints)
    installed = {
        _plain(name): distribution.version
        for distribution in importlib.metadata.distributions()
        if (name := distribution.metadata["Name"])
    }
    missing = sorted(_required() - installed.keys())
    if missing:
        return Remark("packages", "problem", f"missing: {_listed(missing)}", "make setup")
    other = [
        f"{name} {installed[name]} (tested {version})"
        for name, version in sorted(tested.items())
        # A build's own mark after + is not another version.
        if name in installed and installed[name].partition("+")[0] != version.partition("+")[0]
    ]
    if other:
        return Remark("packages", "note", f"other than tested: {_listed(other)}", "make setup")
    found = sum(name in installed for name in tested)
    return Remark("packages", "good", f"{found} of the tested versions, none of another")


def _tested(constraints: Path) -> dict[str, str]:
    lines = constraints.read_text(encoding="utf-8").splitlines()
    pinned = (line.partition("#")[0].strip().partition("==") for line in lines)
    return {_plain(name): version.strip() for name, sign, version in pinned if sign}


def _required() -> set[str]:
    """What this package names as its requirements; nothing where it is not installed."""
    try:
        named = importlib.metadata.requires("lesion-dynamics") or []
    except importlib.metadata.PackageNotFoundError:
        return set()
    own = [line for line in named if "extra ==" not in line]
    return {_plain(re.split(r"[\s<>=!~;\[(]", line, maxsplit=1)[0]) for line in own}


def _plain(name: str) -> str:
    """A distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" * (len(names) > _SHOWN))
