"""From tables of lesion volumes to the study's tables and figures.

Needs no image and no torch. The same inputs and settings give the same bytes.
"""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics import __version__
from lesion_dynamics.atomic_files import require_writable_folder, write_json, write_text
from lesion_dynamics.cohort.remission import session_intervals
from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.longitudinal.against_truth import volume_errors
from lesion_dynamics.longitudinal.measurements import TRUTH, model_versions
from lesion_dynamics.longitudinal.same_scans import SCAN, SameScans, same_scans
from lesion_dynamics.longitudinal.side_by_side import published_figures, side_by_side, unmatched
from lesion_dynamics.longitudinal.tidy_tables import write_table
from lesion_dynamics.longitudinal.version_study import VersionInputs, study_of_version
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.workflows.analysis_inputs import AnalysisInputs, portable, read_inputs

logger = logging.getLogger(__name__)

_RECORDED_VERSIONS = ("numpy", "pandas", "scipy", "matplotlib")


@dataclass(frozen=True)
class AnalysisResult:
    """What was computed, and where it was written.

    statistics, changes, intervals, comparison, left_out : the tables of the same names.
    text : the study on one screen. files : everything written, by name.
    """

    statistics: pd.DataFrame
    changes: pd.DataFrame
    intervals: pd.DataFrame
    comparison: pd.DataFrame
    left_out: pd.DataFrame
    text: str
    files: dict[str, Path]


def run(settings: AnalyzeSettings) -> AnalysisResult:
    """Analyse every model version, write the results and show the study.

    Raises
    ------
    UserError : the output cannot be written, or an input cannot be used.
    """
    require_writable_folder(settings.output)
    inputs = read_inputs(settings)
    result = analyse(inputs, settings)
    files = _write(result, inputs, settings)
    _show(result.text, files)
    return replace(result, files=files)


def analyse(inputs: AnalysisInputs, settings: AnalyzeSettings) -> AnalysisResult:
    """All tables, nothing written."""
    tables, study = inputs.tables, settings.study
    common = same_scans(inputs.measurements, tables.sessions)
    if common.sessions.empty:
        raise MeasurementsError(
            "no scan was measured by every model version",
            where=", ".join(model_versions(inputs.measurements)),
            remedy="Analyse fewer model versions together, or run infer.py again.",
        )
    intervals = session_intervals(
        replace(tables, sessions=common.sessions), washout_days=study.washout_days
    )
    versions = {
        name: study_of_version(
            VersionInputs(
                model_version=name,
                measurements=inputs.measurements[inputs.measurements["model_version"] == name],
                tables=tables,
                common=common,
                new_lesions=inputs.new_lesions,
            ),
            intervals,
            study,
        )
        for name in model_versions(inputs.measurements)
    }
    per_interval, per_participant, statistics = [], [], []
    for name, found in versions.items():
        per_interval.append(_first_column(found.intervals, name))
        per_participant.append(_first_column(found.changes, name))
        statistics.append(found.statistics)
        if TRUTH in versions and name != TRUTH:
            statistics.append(
                volume_errors(
                    found.volumes, versions[TRUTH].volumes, tables.participants,
                    model_version=name, settings=study,
                )
            )  # fmt: skip
    together = pd.concat(statistics, ignore_index=True)
    result = AnalysisResult(
        statistics=together,
        changes=pd.concat(per_participant, ignore_index=True),
        intervals=pd.concat(per_interval, ignore_index=True),
        comparison=side_by_side(together, study.published),
        left_out=common.left_out,
        text="",
        files={},
    )
    return replace(result, text=_text(result, common, inputs, settings))


def _first_column(table: pd.DataFrame, model_version: str) -> pd.DataFrame:
    table = table.copy()
    table.insert(0, "model_version", model_version)
    return table


def _text(
    result: AnalysisResult, common: SameScans, inputs: AnalysisInputs, settings: AnalyzeSettings
) -> str:
    from lesion_dynamics.report.study_table import study_text

    study = settings.study
    remarks = [
        f"Intervals in [ ] at {study.interval_level:.0%}. Remission: no attack in the interval,"
        f" each end at least {study.washout_days:g} days after the last one. Signed-rank test:"
        f" zero_method={study.zero_method}; the other two are in statistics.tsv.",
        f"Scans: {len(common.sessions)} in every column; {len(common.left_out)} left out.",
        *_left_out_lines(result),
        *_not_computed(result.statistics),
    ]
    missing = unmatched(result.statistics, study.published)
    remarks.extend(f"Published figure that nothing here answers: {key}" for key in missing)
    if not inputs.tables.attacks_recorded:
        remarks.append("The cohort has no record of attacks, so no interval is known as remission.")
    source = f", beside {study.published.source}" if study.published else ""
    title = f"Study {study.name} on cohort {settings.cohort.name}{source}"
    published = published_figures(study.published)
    return study_text(result.statistics, published, title=title, remarks=remarks)


def _left_out_lines(result: AnalysisResult) -> list[str]:
    """How many participants give no remission change, by reason; names are in the table."""
    versions = result.changes["model_version"]
    own = result.changes[versions == versions.iloc[0]]
    without = own[own["reason"] != ""]
    counts = without.groupby("reason", sort=True).size()
    return [f"Participants without a remission change: {n} ({why})." for why, n in counts.items()]


def _not_computed(statistics: pd.DataFrame) -> list[str]:
    """Notes of the primary estimates that miss a value or a test, each once."""
    tested = statistics["statistic"].isin(["pseudomedian", "shift"])
    incomplete = statistics["estimate"].isna() | (tested & statistics["p_value"].isna())
    rows = statistics[incomplete & (statistics["role"] == "primary")]
    lines = (
        f"Not computed: {row.diagnosis} {row.quantity} ({row.statistic}): {row.note}."
        for row in rows.itertuples()
    )
    return list(dict.fromkeys(lines))


def _write(
    result: AnalysisResult, inputs: AnalysisInputs, settings: AnalyzeSettings
) -> dict[str, Path]:
    folder = settings.output
    tables = {
        "statistics.tsv": result.statistics,
        "change_per_participant.tsv": result.changes,
        "intervals.tsv": result.intervals,
        "comparison.tsv": result.comparison,
        "scans_left_out.tsv": result.left_out,
    }
    for name, table in tables.items():
        write_table(folder / name, table)
    write_text(folder / "study.txt", result.text)
    write_json(folder / "provenance.json", _provenance(inputs, settings))
    files = {name: folder / name for name in (*tables, "study.txt", "provenance.json")}
    return {**files, **_draw(result, inputs, settings)}


def _draw(
    result: AnalysisResult, inputs: AnalysisInputs, settings: AnalyzeSettings
) -> dict[str, Path]:
    """Trajectories of the newest model version; the annualised change of all."""
    from lesion_dynamics.report.annualised_change import draw_annualised_change
    from lesion_dynamics.report.trajectories import draw_trajectories

    versions = model_versions(inputs.measurements)
    newest = [name for name in versions if name != TRUTH][-1:] or versions[-1:]
    own = inputs.measurements[inputs.measurements["model_version"] == newest[0]]
    scans = inputs.tables.sessions.merge(own[[*SCAN, "lesion_volume_mm3"]], on=SCAN)
    excluded = pd.MultiIndex.from_frame(result.left_out[SCAN])
    pictures = draw_trajectories(
        settings.output,
        volumes=scans[~pd.MultiIndex.from_frame(scans[SCAN]).isin(excluded)],
        intervals=result.intervals[result.intervals["model_version"] == newest[0]],
        attacks=inputs.tables.attacks,
        changes=result.changes[result.changes["model_version"] == newest[0]],
        model_version=newest[0],
    ) + draw_annualised_change(
        settings.output,
        changes=result.changes,
        statistics=result.statistics,
        published=published_figures(settings.study.published),
    )
    return {path.name: path for path in pictures}


def _provenance(inputs: AnalysisInputs, settings: AnalyzeSettings) -> dict[str, Any]:
    """What the results depend on. No time and no absolute path: the same study, the same bytes."""
    chosen = settings.model_dump(mode="json")
    cohort = settings.cohort
    chosen["cohort"]["root"] = portable(cohort.root)
    for name, path in (("truth", cohort.truth), ("reference_masks", cohort.reference_masks)):
        chosen["cohort"][name] = portable(path) if path else None
    chosen["measurements"] = [portable(Path(path)) for path in settings.measurements]
    chosen["output"] = portable(settings.output)
    return {
        "settings": chosen,
        "inputs_sha256": inputs.hashes,
        "model_versions": model_versions(inputs.measurements),
        "versions": {
            "lesion-dynamics": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in _RECORDED_VERSIONS},
        },
    }


def _show(text: str, files: dict[str, Path]) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True)
    console.print(text, highlight=False, markup=False, end="")
    console.print(f"Tables: {files['statistics.tsv'].parent}", highlight=False, markup=False)
    pictures = ", ".join(str(path) for name, path in files.items() if name.endswith(".png"))
    console.print(f"Pictures: {pictures}", highlight=False, markup=False)
