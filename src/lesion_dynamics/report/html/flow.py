"""Exclusions as a flow diagram: who and what came in, who was left out and why, what remained."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.cohort.remission_account import IN_REMISSION
from lesion_dynamics.report.html.answer import PACE
from lesion_dynamics.report.html.results import Results, records

_WIDTH, _BOX, _SIDE, _LINE, _PAD, _GAP = 760.0, 350.0, 340.0, 19.0, 12.0, 30.0
_REASONS, _LONGEST = 6, 44


@dataclass(frozen=True)
class FlowCounts:
    """Numbers of the diagram; what comes in is what goes on and what is left out.

    left_out, intervals_left_out, without_change : counts by reason.
    participants, with_change : by diagnosis.
    """

    participants: dict[str, int]
    scans: int
    scans_left_out: dict[str, int]
    scanned_participants: int
    intervals: int
    intervals_left_out: dict[str, int]
    in_remission: int
    with_change: dict[str, int]
    without_change: dict[str, int]

    @property
    def scans_analysed(self) -> int:
        """Scans of every model version's columns."""
        return self.scans - sum(self.scans_left_out.values())


@dataclass(frozen=True)
class FlowBox:
    """A box with its lines of text; the first one is its head."""

    x: float
    y: float
    width: float
    lines: tuple[str, ...]
    css: str = ""

    @property
    def height(self) -> float:
        """Room for every line, pixels."""
        return len(self.lines) * _LINE + 2 * _PAD


@dataclass
class Flow:
    """The diagram: boxes, and arrows as (x1, y1, x2, y2)."""

    description: str
    width: float = _WIDTH
    height: float = 0.0
    boxes: list[FlowBox] = field(default_factory=list)
    arrows: list[tuple[float, float, float, float]] = field(default_factory=list)


def flow_counts(results: Results, version: str) -> FlowCounts:
    """Count for one model version; every version has the same scans."""
    changes = results.of("change_per_participant", version)
    left_out = results.tables["scans_left_out"]
    account = results.tables["remission"]
    intervals = account[account["unit"] == "interval"]
    kept = intervals["reason"] == IN_REMISSION
    changed = changes[PACE].notna()
    analysed = int(changes["session_count"].astype(int).sum())
    missing = changes[~changed]
    return FlowCounts(
        participants=_by_diagnosis(changes),
        scans=analysed + len(left_out),
        scans_left_out=_by_reason(left_out),
        scanned_participants=int((changes["session_count"].astype(int) > 0).sum()),
        intervals=int(intervals["count"].sum()),
        intervals_left_out={
            str(row["reason"]): int(row["count"]) for row in records(intervals[~kept])
        },
        in_remission=int(intervals.loc[kept, "count"].sum()),
        with_change=_by_diagnosis(changes[changed]),
        without_change=_by_reason(
            missing.assign(reason=missing["reason"].replace("", "no reason"))
        ),
    )


def _by_diagnosis(table: pd.DataFrame) -> dict[str, int]:
    return {name: int((table["diagnosis"] == name).sum()) for name in DIAGNOSES}


def _by_reason(table: pd.DataFrame) -> dict[str, int]:
    counted = table.groupby("reason").size().sort_values(ascending=False, kind="stable")
    return {str(reason): int(count) for reason, count in counted.items()}


def flow_of(counts: FlowCounts) -> Flow:
    """Boxes one below the other; to their right what is left out there, with the reasons."""
    people = sum(counts.participants.values())
    flow = Flow(
        f"Of {people} participants with {counts.scans} scans, {counts.scans_analysed} scans were"
        f" analysed; {counts.in_remission} of {counts.intervals} intervals lie in remission;"
        f" {sum(counts.with_change.values())} participants have a change in remission."
    )
    steps = (
        (("Cohort", _people(counts.participants), f"{counts.scans} scans"),
         _side("scans left out", counts.scans_left_out)),
        (("Analysed",
          f"{counts.scans_analysed} scans of {counts.scanned_participants} participants",
          f"{counts.intervals} intervals between successive scans"),
         _side("intervals left out", counts.intervals_left_out)),
        (("In remission", f"{counts.in_remission} intervals"),
         _side("participants without a change", counts.without_change)),
        (("Change in remission", _people(counts.with_change)), ()),
    )  # fmt: skip
    y = 4.0
    for number, (lines, side) in enumerate(steps):
        box = FlowBox(4, y, _BOX, lines)
        flow.boxes.append(box)
        middle = box.x + _BOX / 2
        bottom = y + box.height
        if side:
            beside = FlowBox(_WIDTH - _SIDE - 4, bottom - 6, _SIDE, side, "side")
            flow.boxes.append(beside)
            level = beside.y + min(beside.height / 2, 26)
            flow.arrows.append((middle, level, beside.x - 2, level))
            bottom = max(bottom, beside.y + beside.height - _GAP + 12)
        if number < len(steps) - 1:
            flow.arrows.append((middle, y + box.height, middle, bottom + _GAP - 2))
        y = bottom + _GAP
    flow.height = y - _GAP + 6
    return flow


def _people(by_diagnosis: dict[str, int]) -> str:
    each = ", ".join(f"{count} {name}" for name, count in by_diagnosis.items())
    return f"{sum(by_diagnosis.values())} participants ({each})"


def _side(what: str, reasons: dict[str, int]) -> tuple[str, ...]:
    total = sum(reasons.values())
    shown = list(reasons.items())[:_REASONS]
    lines = [f"{count} {_cut(reason)}" for reason, count in shown]
    rest = total - sum(count for _, count in shown)
    if rest:
        lines.append(f"{rest} for other reasons")
    one = {"scans": "scan", "intervals": "interval", "participants": "participant"}
    noun, _, rest_of = what.partition(" ")
    return (f"{total} {one[noun] if total == 1 else noun} {rest_of}", *lines)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
