"""The summary of a check as tables for the screen and for summary.txt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lesion_dynamics.cohort.checking.finding import SEVERITIES, Finding
from lesion_dynamics.settings.check import CheckSettings

if TYPE_CHECKING:
    from rich.table import Table

    from lesion_dynamics.workflows.check import CheckResult

_LISTED = 5


def summary_tables(result: CheckResult, settings: CheckSettings) -> Iterator[Any]:
    """Title, counts, sequences, remission, exclusions and findings, in this order."""
    cohort = settings.cohort
    read = "tables, headers and voxels" if settings.pixels else "tables and headers only"
    yield f"Cohort {cohort.name} in {cohort.root} (layout {cohort.layout}): {read} read."
    optional = ", ".join(settings.optional_sequences) or "nothing"
    required = ", ".join(dict.fromkeys(("FLAIR", *settings.required_sequences)))
    yield f"As for a segmenter that needs {required} and uses {optional} where it is there."
    yield _counts(result)
    yield _sequences(result)
    yield result.remission.rule
    yield from result.remission.lines()
    yield from _exclusions(result)
    yield from _findings(result.findings, settings.shown_findings)


def _counts(result: CheckResult) -> Table:
    table = _table("", "MS", "NMOSD", "all")
    diagnosis_of = dict(
        zip(
            result.tables.participants["participant_id"],
            result.tables.participants["diagnosis"],
            strict=True,
        )
    )
    scanned = Counter(scan.participant_id for scan in result.scans)

    def row(label: str, participants: Iterable[str]) -> None:
        found = Counter(diagnosis_of.get(one, "") for one in participants)
        table.add_row(label, *(str(n) for n in (found["MS"], found["NMOSD"], found.total())))

    row("participants in the tables", diagnosis_of)
    row("participants with a usable scan", scanned)
    row("  with two or more", (who for who, count in scanned.items() if count > 1))
    row("usable scans", (scan.participant_id for scan in result.scans))
    row("left out", (exclusion.participant_id for exclusion in result.exclusions))
    row("intervals", result.intervals["participant_id"])
    remission = result.intervals[result.intervals["is_remission"].astype(bool)]
    row("  in remission", remission["participant_id"])
    return table


def _sequences(result: CheckResult) -> Table:
    table = _table("sequence", "scans", "voxels (mm)", "matrix", "stored as", "scanners")
    scanner_of = {
        (who, session): scanner
        for who, session, scanner in zip(
            *(result.tables.sessions[c] for c in ("participant_id", "session_id", "scanner")),
            strict=True,
        )
    }
    for sequence in dict.fromkeys(record.sequence for record in result.records):
        own = [record for record in result.records if record.sequence == sequence]
        sizes = [" x ".join(f"{size:.3g}" for size in r.voxel_sizes_mm) for r in own]
        scanners = [
            said if isinstance(said := scanner_of[r.participant_id, r.session_id], str)
            else r.sidecar.scanner or "unknown"
            for r in own
        ]  # fmt: skip
        table.add_row(
            sequence,
            str(len(own)),
            _most(sizes),
            _most(" x ".join(map(str, r.header.shape)) for r in own),
            _most(r.stored.data_type for r in own),
            _most(scanners),
        )
    years = result.intervals["interval_years"].to_numpy(dtype=np.float64)
    if len(years):
        low, median, high = np.percentile(years, [0, 50, 100])
        table.caption = (
            f"Years between sessions: median {median:.2f}, from {low:.2f} to {high:.2f}."
        )
        table.caption_justify = "left"
    return table


def _exclusions(result: CheckResult) -> Iterator[Any]:
    if not result.exclusions:
        yield "Left out: nothing."
        return
    table = _table("left out", "reason")
    for one in result.exclusions[:_LISTED]:
        table.add_row(" ".join(filter(None, (one.participant_id, one.session_id))), one.explained)
    yield table
    if len(result.exclusions) > _LISTED:
        yield f"{len(result.exclusions) - _LISTED} more in exclusions.tsv."


def _findings(findings: Sequence[Finding], shown: int) -> Iterator[Any]:
    counts = Counter(finding.severity for finding in findings)
    named = ", ".join(f"{counts[s]} {s}{'' if counts[s] == 1 else 's'}" for s in SEVERITIES)
    kinds = Counter(finding.kind for finding in findings)
    listed = "; ".join(f"{count} {kind}" for kind, count in kinds.items())
    yield f"Findings: {named}." + (f" {listed}." if listed else "")
    if findings and shown:
        table = _table("", "where", "what", "way out")
        for finding in findings[:shown]:
            whose = " ".join(filter(None, (finding.participant_id, finding.session_id)))
            table.add_row(finding.severity, whose or "cohort", finding.what, finding.remedy)
        yield table


def _most(values: Iterable[str]) -> str:
    """The most frequent values with their counts."""
    counts = Counter(values).most_common()
    if len(counts) == 1:
        return counts[0][0]
    lines = [f"{value} ({count})" for value, count in counts[:_LISTED]]
    more = [f"and {len(counts) - _LISTED} others"] if len(counts) > _LISTED else []
    return "\n".join([*lines, *more])


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
