"""Work in processes: whose fault a failure is. Its processes import this file: keep it light."""

from __future__ import annotations

from pathlib import Path

import pytest

from lesion_dynamics.atomic_files import disk_full
from lesion_dynamics.errors import DiskFullError, ScanError
from lesion_dynamics.workflows.processes import in_processes


def full_or_broken(place: Path) -> str:
    if place.name == "full":
        raise disk_full(place)
    raise ScanError("broken", where=place, remedy="Mend it.")


def test_a_broken_scan_is_a_failure_and_a_full_disk_ends_the_command() -> None:
    items = [Path("/broken"), Path("/full")]
    found = in_processes(full_or_broken, items, processes=1, description="writing")
    first = next(found)
    assert first.failure == "/broken: broken. Mend it."
    with pytest.raises(DiskFullError, match=r"^/full: the disk is full; nothing was half-written"):
        next(found)
