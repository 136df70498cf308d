"""A disk of some megabytes that can be filled and given room again. Needs root."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path


class Disk:
    """A tmpfs of some megabytes, and a file that takes the room in it."""

    def __init__(self, place: Path, *, size_mb: int) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place, self._filler = place, place / ".filler"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(place)],
                       check=True)  # fmt: skip

    def fill(self, *, but_mb: float = 0.0) -> None:
        """Take all the room but so much."""
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            if but_mb:
                file.write(bytes(max(0, self._free() - int(but_mb * 1e6))))
                return
            while True:
                file.write(bytes(max(4096, self._free())))

    def _free(self) -> int:
        state = os.statvfs(self.place)
        return state.f_bavail * state.f_frsize

    def make_room(self) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Undo the mount; what lay there is gone."""
        subprocess.run(["umount", "--lazy", str(self.place)], check=True)
