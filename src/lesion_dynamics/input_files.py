"""Files from outside: whether they are files at all, and whether their bytes are here.

A cohort's files come from copies, downloads, git-annex, Git LFS and DVC. Whatever stands in a
file's place is told apart before anything is read: a pipe would be waited for, a device read
without end.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from lesion_dynamics.errors import UserError

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"  # the Git LFS specification
_ANNEX_POINTER = b"/annex/objects/"  # git-annex, "pointer file format"
_ANNEX_FOLDER = "annex/objects/"


def first_bytes(
    path: Path,
    size: int,
    *,
    refusal: type[UserError],
    restore: str,
    missing: str = "no such file",
) -> bytes:
    """The first ``size`` bytes of a regular file (fewer where it is shorter).

    Parameters
    ----------
    refusal : the kind of error to raise.
    restore : what to do about a file that is missing. missing : what to say of it.

    Raises
    ------
    UserError : of the kind ``refusal``: no such file, a link that leads nowhere or in a circle,
        a folder, a pipe or device, no permission, or a stand-in for a file whose bytes were
        never fetched.
    """
    _require_regular_file(path, refusal, restore, missing)
    try:
        with path.open("rb") as file:
            start = file.read(size)
    except OSError as error:
        raise _not_readable(path, error, refusal) from error
    if start.startswith(_LFS_POINTER):
        raise refusal(
            "a Git LFS pointer stands here instead of the file",
            where=path,
            remedy="Fetch the file's bytes with git lfs pull.",
        )
    if start.startswith(_ANNEX_POINTER):
        raise _not_fetched(path, refusal)
    return start


def _require_regular_file(path: Path, refusal: type[UserError], restore: str, missing: str) -> None:
    """Ask the file system, open nothing: opening a pipe waits for who writes into it."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _missing(path, refusal, restore, missing) from error
    except OSError as error:
        raise _not_readable(path, error, refusal) from error
    if stat.S_ISDIR(mode):
        raise refusal(
            "a folder stands here instead of a file",
            where=path,
            remedy="Move the folder away and put the file in its place.",
        )
    if not stat.S_ISREG(mode):
        raise refusal(
            "a pipe, socket or device stands here instead of a file",
            where=path,
            remedy="Put the file itself in its place.",
        )


def _missing(path: Path, refusal: type[UserError], restore: str, missing: str) -> UserError:
    if path.is_symlink():
        target = str(path.readlink())
        if _ANNEX_FOLDER in target:
            return _not_fetched(path, refusal)
        return refusal(f"the link leads nowhere ({target})", where=path, remedy=restore)
    if path.with_name(f"{path.name}.dvc").exists():
        return refusal(
            f"{missing}: its bytes were not fetched",
            where=path,
            remedy=f"Fetch them with dvc pull {path.name}.dvc.",
        )
    return refusal(missing, where=path, remedy=restore)


def _not_fetched(path: Path, refusal: type[UserError]) -> UserError:
    return refusal(
        "a git-annex link stands here whose bytes were not fetched",
        where=path,
        remedy="Fetch them with git annex get (or datalad get).",
    )


def _not_readable(path: Path, error: OSError, refusal: type[UserError]) -> UserError:
    if error.errno == errno.ELOOP:
        return refusal(
            "the link leads in a circle", where=path, remedy="Put the file itself in its place."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return refusal(
            "this may not be read",
            where=path,
            remedy="Give yourself permission to read it and its folders (chmod u+rX).",
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return refusal(f"this cannot be read: {reason}", where=path, remedy="Copy it again.")


def folder_entries(folder: Path, *, refusal: type[UserError]) -> list[os.DirEntry[str]]:
    """What lies in ``folder``, by name; nothing where there is no such folder.

    Raises
    ------
    UserError : of the kind ``refusal``: a link in a circle, or no permission.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _not_readable(folder, error, refusal) from error
