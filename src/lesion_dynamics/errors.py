"""The one family of errors that a user can cause and can mend.

Every message says what is wrong, where, and what to do next, on one line. Anything that is
not a :class:`UserError` is a defect of this package and keeps its traceback.
"""

from __future__ import annotations

from pathlib import Path

LONGEST_PART = 600
"""Characters of one part of a message; what is longer is cut, for it came out of a broken file."""

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
        self.what = _one_line(what).rstrip(".")
        self.where = printable(str(where))
        self.remedy = _one_line(remedy)
        super().__init__(f"{self.where}: {self.what}. {self.remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        # Raised in worker processes and carried to the parent by pickling.
        return (_rebuild, (type(self), self.what, self.where, self.remedy))


def printable(text: str) -> str:
    """``text`` with line breaks, control characters and broken encodings written as escapes.

    File names and table cells come from outside: they may neither break the line nor steer the
    terminal.
    """
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: LONGEST_PART + 1])
    return shown if len(shown) <= LONGEST_PART else f"{shown[:LONGEST_PART]}..."


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


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


class TrainingError(UserError):
    """A training that cannot go on with these settings."""


class PeerLostError(UserError):
    """Of several processes that train together, this one cannot reach the others any more."""


class DiskFullError(OutputError):
    """A disk that is full, or a quota that is used up.

    It is no fault of the scan that was being written: the next one would fare no better, so what
    goes on after a broken scan ends here.
    """
