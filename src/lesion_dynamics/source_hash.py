"""The hash of the code that a result was made with.

Results are kept and found again by the hash of everything they depend on, and the code is one
of these things: after a change of the code they are made anew rather than trusted.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@cache
def hash_of_source(*parts: str) -> str:
    """SHA-256 over the Python files of these packages or modules, ``hash_of_source("imaging")``.

    Raises
    ------
    ValueError : this package has no such part.
    """
    digest = hashlib.sha256()
    for part in sorted(parts):
        path = _PACKAGE / part
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        if not files or not files[0].is_file():
            raise ValueError(f"lesion_dynamics has no part {part}")
        for file in files:
            digest.update(str(file.relative_to(_PACKAGE).as_posix()).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
