"""The one family of errors that a user can cause and can mend.

Every message says what is wrong, where, and what to do next, on one line. Anything that is
not a :class:`UserError` is a defect of this package and keeps its traceback.
"""

from __future__ import annotations

from pathlib import Path

EXIT_USER_ERROR = 2
"""Exit status of a command that ended in a :class:`UserError`, or left scans out as failed."""


class UserError(Exception):
    """A wrong input, setting or environment.

    Parameters
    ----------
    what : what is wrong, one sentence without the final full stop.
    where : the file, key, participant or setting concerned.
    remedy : what to do next, one sentence.
    """

    def __init__(self, what: str, *, where: str | Path, remedy: str) -> None:
        self.what = " ".join(what.split()).rstrip(".")
        self.where = str(where)
        self.remedy = " ".join(remedy.split())
        super().__init__(f"{self.where}: {self.what}. {self.remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        # Raised in worker processes and carried to the parent by pickling.
        return (_rebuild, (type(self), self.what, self.where, self.remedy))


def _rebuild(kind: type[UserError], what: str, where: str, remedy: str) -> UserError:
    return kind(what, where=where, remedy=remedy)


class ConfigurationError(UserError):
    """An unknown, missing or ill-typed configuration key."""


class CohortError(UserError):
    """A cohort that cannot be used as a whole: no such folder, no scan, a broken table."""


class ScanError(UserError):
    """One scan that cannot be used; the others of the cohort go on."""


class ModelVersionError(UserError):
    """A model version that does not exist, or whose bytes are not what its manifest says."""


class MeasurementsError(UserError):
    """A table of lesion volumes that cannot be analysed."""


class OutputError(UserError):
    """An output folder that cannot be written, or a disk that is full."""
