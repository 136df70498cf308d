"""All rules together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lesion_dynamics.cohort.checking.duplicate_findings import duplicate_findings
from lesion_dynamics.cohort.checking.evidence import Evidence
from lesion_dynamics.cohort.checking.finding import Finding, in_order
from lesion_dynamics.cohort.checking.header_findings import header_findings
from lesion_dynamics.cohort.checking.participant_findings import participant_findings
from lesion_dynamics.cohort.checking.session_findings import session_findings
from lesion_dynamics.cohort.cohort import CohortTables, Scan


def all_findings(evidence: Evidence, scans: Sequence[Scan]) -> list[Finding]:
    """Findings of every rule, worst first.

    scans : those that can be used; they know which candidates were rejected.
    """
    return in_order(
        (
            *header_findings(evidence.records),
            *participant_findings(evidence),
            *session_findings(evidence),
            *duplicate_findings(evidence.records),
            *_choices(scans),
            *_attacks(evidence.tables),
        )
    )


def _choices(scans: Sequence[Scan]) -> Iterator[Finding]:
    for scan in scans:
        for choice in scan.choices:
            rejected = ", ".join(path.name for path in choice.rejected)
            what = f"{choice.sequence}: {choice.chosen.name} by {choice.decided_by}, not {rejected}"
            yield Finding("several-candidates", *scan.key, what, choice.chosen)


def _attacks(tables: CohortTables) -> Iterator[Finding]:
    if not tables.attacks_recorded:
        what = "the cohort has no record of attacks, so no interval is known as remission"
        yield Finding("attacks-not-recorded", "", "", what)
    attacks = tables.attacks
    undated = attacks.loc[attacks["days_from_baseline"].isna(), "participant_id"].value_counts()
    for participant_id, count in undated.items():
        what = f"{count} attack(s) without a date: no interval is known as remission"
        yield Finding("attack-date-unknown", str(participant_id), "", what)
