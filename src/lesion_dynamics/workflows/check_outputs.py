"""What a check leaves on disk and shows on the screen."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import pandas as pd

from lesion_dynamics.atomic_files import write_text
from lesion_dynamics.cohort.checking.finding import SEVERITIES
from lesion_dynamics.longitudinal.tidy_tables import write_table
from lesion_dynamics.settings.check import CheckSettings
from lesion_dynamics.workflows.check_summary import summary_tables

if TYPE_CHECKING:
    from lesion_dynamics.workflows.check import CheckResult

_WIDTH = 110
_EXCLUSION_COLUMNS = ["participant_id", "session_id", "failed", "reason"]
_FINDING_COLUMNS = [
    "severity", "kind", "participant_id", "session_id", "file", "what", "remedy",
]  # fmt: skip


def write_check(result: CheckResult, settings: CheckSettings) -> dict[str, Path]:
    """Write every table and the summary; files by name."""
    root = settings.cohort.root
    tables = {
        "scans.tsv": scan_table(result, root),
        "exclusions.tsv": exclusion_table(result),
        "findings.tsv": finding_table(result, root),
        "intervals.tsv": result.intervals,
    }
    files = {name: settings.output / name for name in (*tables, "summary.txt")}
    for name, table in tables.items():
        write_table(files[name], table)
    write_text(files["summary.txt"], summary_text(result, settings))
    return files


def scan_table(result: CheckResult, root: Path) -> pd.DataFrame:
    """One row for every image of every usable scan."""
    people = result.tables.participants.set_index("participant_id")
    days = result.tables.sessions.set_index(["participant_id", "session_id"])
    diagnosis_of = people["diagnosis"].to_dict()
    days_of = days["days_from_baseline"].to_dict()
    scanner_of = days["scanner"].to_dict()
    choices = {
        (*scan.key, choice.sequence): choice for scan in result.scans for choice in scan.choices
    }
    rows: list[dict[str, Any]] = []
    for record in result.records:
        key = (record.participant_id, record.session_id)
        choice = choices.get((*key, record.sequence))
        sizes = record.voxel_sizes_mm
        rows.append(
            {
                "participant_id": key[0],
                "session_id": key[1],
                "diagnosis": diagnosis_of[key[0]],
                "days_from_baseline": days_of[key],
                "scanner": scanner_of[key],
                "sequence": record.sequence,
                "file": shown(record.path, root),
                "shape": "x".join(str(size) for size in record.header.shape),
                **{f"voxel_{axis}_mm": sizes[at] for at, axis in enumerate("ijk")},
                "orientation": "".join(map(str, nib.aff2axcodes(record.header.affine))),
                "data_type": record.stored.data_type,
                "sidecar_scanner": record.sidecar.scanner,
                "chosen_by": choice.decided_by if choice else "only candidate",
                "rejected": " ".join(path.name for path in choice.rejected) if choice else "",
                "remarks": "; ".join(record.header.remarks),
            }
        )
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["participant_id", "session_id"])


def exclusion_table(result: CheckResult) -> pd.DataFrame:
    """One row for every scan or participant left out; session_id is n/a for all sessions."""
    rows = [(e.participant_id, e.session_id, e.failed, e.explained) for e in result.exclusions]
    return pd.DataFrame(rows, columns=_EXCLUSION_COLUMNS)


def finding_table(result: CheckResult, root: Path) -> pd.DataFrame:
    """One row for every finding, worst first."""
    rows = [
        (
            f.severity, f.kind, f.participant_id or None, f.session_id or None,
            shown(f.file, root) if f.file else None, f.what, f.remedy,
        )
        for f in result.findings
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=_FINDING_COLUMNS)


def summary_text(result: CheckResult, settings: CheckSettings) -> str:
    """The summary as plain text."""
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(file=buffer, width=_WIDTH, color_system=None, force_terminal=False)
    for part in _parts(result, settings):
        console.print(part, highlight=False, markup=False, soft_wrap=isinstance(part, str))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def show(result: CheckResult, settings: CheckSettings, files: dict[str, Path]) -> None:
    """Print the summary and where the tables are."""
    from rich.console import Console

    console = Console(soft_wrap=True)
    for part in _parts(result, settings):
        console.print(part, highlight=False, markup=False)
    folder = files["summary.txt"].parent
    console.print(f"Tables: {folder} ({', '.join(sorted(files))})", highlight=False, markup=False)


def _parts(result: CheckResult, settings: CheckSettings) -> Iterator[Any]:
    yield from summary_tables(result, settings)
    shown_here = result.findings[: settings.shown_findings]
    if len(shown_here) < len(result.findings):
        yield f"{len(result.findings) - len(shown_here)} more in findings.tsv."
    if not any(f.severity != SEVERITIES[-1] for f in result.findings):
        yield "Nothing that needs mending was found."


def shown(path: Path, root: Path) -> str:
    """A file relative to the cohort's folder where it lies there."""
    return str(path.relative_to(root) if path.is_relative_to(root) else path)
