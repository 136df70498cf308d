"""What the pages say, as data: nothing here is HTML yet, and all text may be hostile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LesionLayer:
    """What one model version found in one session.

    lesion_volume_mm3 : NaN where the scan failed; reason says why.
    mask, probability, change : base64 of compressed NIfTI on the page's grid; "" for none.
    change_note : what the change map is, or why there is none.
    """

    model_version: str
    lesion_volume_mm3: float
    lesion_count: int | None
    reason: str
    mask: str = ""
    probability: str = ""
    change: str = ""
    change_note: str = ""


@dataclass(frozen=True, slots=True)
class SessionView:
    """One session.

    days : NaN where nobody knows. picture : base64 of a WebP.
    quality_picture : link from the page to the picture of quality control, "" for none.
    """

    session_id: str
    days: float
    scanner: str
    flag_count: int
    flags: str
    flair: str
    picture: str
    quality_picture: str
    layers: tuple[LesionLayer, ...]


@dataclass(frozen=True, slots=True)
class ParticipantView:
    """All that a participant's page shows.

    facts : pairs of a name and what is said (diagnosis, age, ...).
    attacks : days from baseline, NaN where the date is unknown; None: not recorded.
    figures : quality-control figures, by name, one value a session.
    intervals : rows of the tracking table, as written there.
    remarks : sessions left out and other doubts, one line each.
    shape, origin_mm, spacing_mm : the grid that all volumes lie on, along R, A, S.
    start : voxel that is shown first. previous, next : neighbours, "" for none.
    """

    cohort: str
    participant_id: str
    facts: tuple[tuple[str, str], ...]
    sessions: tuple[SessionView, ...]
    attacks: tuple[float, ...] | None
    figures: Mapping[str, tuple[str, ...]]
    intervals: tuple[Mapping[str, str], ...]
    remarks: tuple[str, ...]
    shape: tuple[int, int, int]
    origin_mm: tuple[float, float, float]
    spacing_mm: float
    start: tuple[int, int, int]
    previous: str
    next: str


@dataclass(frozen=True, slots=True)
class IndexSession:
    """One session on the cohort's page. thumbnail : path from that page."""

    session_id: str
    days: float
    lesion_volume_mm3: float
    flag_count: int
    flags: str
    thumbnail: str


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One participant on the cohort's page.

    change_mm3 : last less first measured volume of the first model version; NaN for none.
    disagreement_mm3, disagreement_dice : the session where model versions differ most: volume
        that only one of two has, and the Dice of their masks; NaN with one version.
    problem : why there is no page; "" where there is one.
    """

    participant_id: str
    diagnosis: str
    sessions: tuple[IndexSession, ...]
    change_mm3: float
    disagreement_mm3: float
    disagreement_dice: float
    problem: str = ""
