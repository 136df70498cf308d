"""One line of the doctor's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["good", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Remark:
    """subject : what was looked at. what : what is there. remedy : empty where all is good.

    problem : a command will fail, or fail to keep what it made. note : worth knowing.
    """

    subject: str
    state: State
    what: str
    remedy: str = ""
