"""The hash of the code that a result was made with.

Results are kept and found again by the hash of everything they depend on, and the code is one
of these things: after a change of the code they are made anew rather than trusted.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


LIBRARIES = (
    "deepbet",
    "monai",
    "nibabel",
    "numpy",
    "picsl-greedy",
    "scipy",
    "SimpleITK",
    "torch",
    "torchio",
)
"""Those whose version can change a voxel."""


@cache
def hash_of_source(*parts: str) -> str:
    """SHA-256 over the Python files of these packages or modules, and the libraries' versions.

    ``hash_of_source("imaging", "segmenter/patches")``

    Raises
    ------
    ValueError : this package has no such part.
    """
    digest = hashlib.sha256()
    for library in LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}\n".encode())
    for part in sorted(parts):
        path = _PACKAGE / part
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        if not files or not files[0].is_file():
            raise ValueError(f"lesion_dynamics has no part {part}")
        for file in files:
            digest.update(str(file.relative_to(_PACKAGE).as_posix()).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
