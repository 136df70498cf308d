"""The check of a cohort: tables, then headers, then voxels; findings and tables written.

Nothing is left out by a finding. What is left out is what every command leaves out, with the
same reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from lesion_dynamics.atomic_files import hash_of_content, require_writable_folder
from lesion_dynamics.cohort.checking.evidence import Evidence
from lesion_dynamics.cohort.checking.finding import Finding
from lesion_dynamics.cohort.checking.image_record import ImageRecord
from lesion_dynamics.cohort.checking.rules import all_findings
from lesion_dynamics.cohort.cohort import CohortTables, Exclusion, Scan
from lesion_dynamics.cohort.reading import assembled, find_scans, read_tables
from lesion_dynamics.cohort.remission import session_intervals
from lesion_dynamics.cohort.remission_account import RemissionAccount, remission_account
from lesion_dynamics.settings.check import CheckSettings
from lesion_dynamics.workflows.check_worker import CheckedScan, check_headers, check_voxels
from lesion_dynamics.workflows.processes import cores, in_processes

Work = Callable[[tuple[CheckedScan, ...]], list[CheckedScan]]
_SCAN = ["participant_id", "session_id"]
_SCANS_A_TASK = 200  # headers: fractions of a second
_SCANS_WITH_VOXELS_A_TASK = 2


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    scans, records : those that can be used, in their order. exclusions : the others.
    findings : worst first, about the scans that are left out as well.
    intervals : of the usable scans, with what the remission rule says.
    remission : how many scans and intervals the rule leaves out, and why.
    """

    tables: CohortTables
    scans: tuple[Scan, ...]
    records: tuple[ImageRecord, ...]
    exclusions: tuple[Exclusion, ...]
    findings: tuple[Finding, ...]
    intervals: pd.DataFrame
    remission: RemissionAccount


def run(settings: CheckSettings) -> CheckResult:
    """Check the cohort, write the tables and show the summary.

    Raises
    ------
    UserError : the cohort cannot be used at all (what is known of it is written before), or the
        output cannot be written.
    """
    from lesion_dynamics.longitudinal.tidy_tables import tsv_of
    from lesion_dynamics.workflows.check_outputs import show, write_check
    from lesion_dynamics.workflows.lineage.derived import write_derived_lineage

    require_writable_folder(settings.output)
    result = check(settings)
    files = write_check(result, settings)
    write_derived_lineage(
        settings.output,
        command="check",
        source=("cohort", "imaging", "workflows/check"),
        outputs=files.values(),
        settings=settings,
        inputs={
            f"cohort {name}": hash_of_content(tsv_of(getattr(result.tables, name)))
            for name in ("participants", "sessions", "attacks")
        },
        cohort_root=settings.cohort.root,
    )
    show(result, settings, files)
    # Refuses a cohort without any usable scan, as every other command does.
    assembled(settings.cohort, result.tables, result.scans, result.exclusions)
    return result


def check(settings: CheckSettings) -> CheckResult:
    """Everything but writing.

    Raises
    ------
    UserError : the cohort's tables cannot be used.
    """
    tables = read_tables(settings.cohort)
    found, exclusions = find_scans(
        settings.cohort,
        tables,
        required_sequences=settings.required_sequences,
        optional_sequences=settings.optional_sequences,
    )
    found.sort(key=lambda scan: scan.key)
    checked = _checked_headers(found, settings)
    if settings.pixels:
        checked = _checked_voxels(checked, settings)
    exclusions += [one.exclusion for one in checked if one.exclusion is not None]
    usable = [one for one in checked if one.exclusion is None]
    scans = tuple(one.scan for one in usable)
    every = [record for one in checked for record in one.records]
    scanned = pd.MultiIndex.from_tuples([scan.key for scan in scans], names=_SCAN)
    rows = pd.MultiIndex.from_frame(tables.sessions[_SCAN]).isin(scanned)
    of_scans = replace(tables, sessions=tables.sessions[rows].reset_index(drop=True))
    washout_days = settings.study.washout_days
    intervals = session_intervals(of_scans, washout_days=washout_days)
    return CheckResult(
        tables=tables,
        scans=scans,
        records=tuple(record for one in usable for record in one.records),
        exclusions=tuple(
            sorted(exclusions, key=lambda one: (one.participant_id, one.session_id or ""))
        ),
        findings=tuple(all_findings(Evidence(tables, every), [one.scan for one in checked])),
        intervals=intervals,
        remission=remission_account(of_scans, intervals, washout_days=washout_days),
    )


def _checked_headers(scans: Sequence[Scan], settings: CheckSettings) -> list[CheckedScan]:
    work = partial(check_headers, settings=settings.cohort)
    tasks = _tasks([CheckedScan(scan) for scan in scans], _SCANS_A_TASK)
    return _done(work, tasks, settings, "reading headers")


def _checked_voxels(checked: Sequence[CheckedScan], settings: CheckSettings) -> list[CheckedScan]:
    work = partial(check_voxels, settings=settings.cohort)
    left_out = [one for one in checked if one.exclusion is not None]
    tasks = _tasks([one for one in checked if one.exclusion is None], _SCANS_WITH_VOXELS_A_TASK)
    found = left_out + _done(work, tasks, settings, "reading voxels")
    return sorted(found, key=lambda one: one.scan.key)


def _tasks(scans: Sequence[CheckedScan], size: int) -> list[tuple[CheckedScan, ...]]:
    return [tuple(scans[at : at + size]) for at in range(0, len(scans), size)]


def _done(
    work: Work, tasks: Sequence[tuple[CheckedScan, ...]], settings: CheckSettings, description: str
) -> list[CheckedScan]:
    """What became of the scans, in their order."""
    if len(tasks) < 2 or (settings.processes or cores()) == 1:
        return [one for task in tasks for one in work(task)]
    found: list[CheckedScan] = []
    for done in in_processes(work, tasks, processes=settings.processes, description=description):
        found += done.result or [
            replace(one, exclusion=Exclusion(*one.scan.key, str(done.failure), failed=True))
            for one in done.item
        ]
    return sorted(found, key=lambda one: one.scan.key)
