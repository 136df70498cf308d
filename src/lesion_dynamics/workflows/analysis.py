"""From tables of lesion volumes to the study's tables and figures.

Needs no image and no torch. The same inputs and settings give the same bytes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from lesion_dynamics.atomic_files import require_writable_folder
from lesion_dynamics.cohort.remission import session_intervals
from lesion_dynamics.cohort.remission_account import remission_account
from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.longitudinal.against_truth import volume_errors
from lesion_dynamics.longitudinal.error_in_answer import error_in_answer, with_noise
from lesion_dynamics.longitudinal.measurements import TRUTH, model_versions
from lesion_dynamics.longitudinal.repeatability import with_repeatability
from lesion_dynamics.longitudinal.robustness import Intervals, robustness
from lesion_dynamics.longitudinal.same_scans import SCAN, SameScans, same_scans
from lesion_dynamics.longitudinal.side_by_side import side_by_side
from lesion_dynamics.longitudinal.table_one import table_one
from lesion_dynamics.longitudinal.verdicts import verdicts
from lesion_dynamics.longitudinal.version_agreement import class_changes, version_agreement
from lesion_dynamics.longitudinal.version_differences import version_differences, version_pairs
from lesion_dynamics.longitudinal.version_study import (
    VersionInputs,
    VersionStudy,
    study_of_version,
)
from lesion_dynamics.longitudinal.volume_error import (
    Figures,
    change_noise,
    figures_against_truth,
)
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.study import StudySettings
from lesion_dynamics.settings.study_report import MANIFEST_FOLDERS
from lesion_dynamics.workflows.analysis_inputs import (
    AnalysisInputs,
    measurement_files,
    read_inputs,
)
from lesion_dynamics.workflows.analysis_result import AnalysisResult, VersionTables
from lesion_dynamics.workflows.analysis_text import study_as_text


def run(settings: AnalyzeSettings) -> AnalysisResult:
    """Analyse every model version, write the results and show the study.

    Raises
    ------
    UserError : the output cannot be written, or an input cannot be used. Rows of the
        measurements that cannot be used stop nothing: all else is computed and written, then
        the first of them is raised.
    """
    from lesion_dynamics.workflows.analysis_outputs import write_results  # loads matplotlib

    require_writable_folder(settings.output)
    inputs = read_inputs(settings)
    result = analyse(inputs, settings)
    files = write_results(result, inputs, settings)
    _show(result.text, files)
    if settings.report:
        write_report(settings)
    if inputs.refusals:
        first = inputs.refusals[0]
        raise MeasurementsError(
            f"{len(inputs.refusals)} row(s) of the measurements were refused, the first: {first};"
            " everything else is computed and written",
            where=first.where,
            remedy="Correct them and run again; scans_left_out.tsv lists their scans.",
        )
    return replace(result, files=files)


def analyse(inputs: AnalysisInputs, settings: AnalyzeSettings) -> AnalysisResult:
    """All tables, nothing written."""
    tables, study = inputs.tables, settings.study
    common = _common_scans(inputs)
    measured = replace(tables, sessions=common.sessions)
    intervals = session_intervals(measured, washout_days=study.washout_days)
    versions = {
        name: VersionInputs(
            model_version=name,
            measurements=inputs.measurements[inputs.measurements["model_version"] == name],
            tables=tables,
            common=common,
            new_lesions=inputs.new_lesions,
        )
        for name in model_versions(inputs.measurements)
    }
    found = {name: study_of_version(own, intervals, study) for name, own in versions.items()}
    found, errors = _with_errors(found, inputs, study)
    statistics = pd.concat(_statistics(found, tables.participants, study), ignore_index=True)
    error = pd.concat(errors, ignore_index=True)
    changes = {name: own.changes for name, own in found.items()}
    # Before the robustness panel: it draws so much that the draws of the study are forgotten.
    between = _between_versions(statistics, changes, study)
    panel = Intervals(measured)
    result = AnalysisResult(
        statistics=statistics,
        changes=_stacked(changes),
        intervals=_stacked({name: own.intervals for name, own in found.items()}),
        comparison=side_by_side(statistics, study.published, errors=error),
        left_out=common.left_out,
        robustness=pd.concat(
            [
                robustness(own, study, inputs.lines_of(name), intervals=panel)
                for name, own in versions.items()
            ],
            ignore_index=True,
        ),
        measurement_error=error,
        **between,
        table_one=table_one(
            tables.participants,
            next(iter(changes.values())),
            tables.attacks,
            recorded=tables.attacks_recorded,
        ),
        remission=remission_account(measured, intervals, washout_days=study.washout_days),
    )
    return replace(result, text=study_as_text(result, common, inputs, settings))


def _common_scans(inputs: AnalysisInputs) -> SameScans:
    """What every version measured; what it did not, and undated sessions, with the reason."""
    common = same_scans(inputs.measurements, inputs.tables.sessions)
    if common.sessions.empty:
        raise MeasurementsError(
            "no scan was measured by every model version",
            where=", ".join(model_versions(inputs.measurements)),
            remedy="Analyse fewer model versions together, or run infer.py again.",
        )
    if inputs.undated.empty:
        return common
    left_out = pd.concat([common.left_out, inputs.undated], ignore_index=True)
    return replace(common, left_out=left_out.sort_values(SCAN, ignore_index=True))


def _statistics(
    found: dict[str, VersionStudy], participants: pd.DataFrame, study: StudySettings
) -> list[pd.DataFrame]:
    statistics = []
    for name, own in found.items():
        statistics.append(own.statistics)
        if TRUTH in found and name != TRUTH:
            true = found[TRUTH].volumes
            statistics.append(
                volume_errors(own.volumes, true, participants, model_version=name, settings=study)
            )
    return statistics


def _with_errors(
    found: dict[str, VersionStudy], inputs: AnalysisInputs, study: StudySettings
) -> tuple[dict[str, VersionStudy], list[pd.DataFrame]]:
    """The versions with their smallest detectable changes, and the error in their answers."""
    participants = inputs.tables.participants
    noted, errors = {}, []
    for name, own in found.items():
        figures = _figures(name, found, participants, study)
        if not study.measurement_error.figures:
            figures = with_repeatability(figures, inputs.repeatability.get(name))
        noise = change_noise(own.intervals, participants, figures)
        changes = with_noise(own.changes, noise)
        noted[name] = replace(own, changes=changes)
        if name != TRUTH:
            errors.append(
                error_in_answer(changes, noise, figures, model_version=name, settings=study)
            )
    return noted, errors or [own.statistics.iloc[:0] for own in found.values()]


def _figures(
    name: str, found: dict[str, VersionStudy], participants: pd.DataFrame, study: StudySettings
) -> Figures:
    """Given figures go before those estimated against the truth; the truth has none."""
    if name == TRUTH:
        return {}
    if study.measurement_error.figures:
        return {figure.diagnosis: figure for figure in study.measurement_error.figures}
    if TRUTH in found:
        return figures_against_truth(found[name].volumes, found[TRUTH].volumes, participants)
    return {}


def _between_versions(
    statistics: pd.DataFrame, changes: dict[str, pd.DataFrame], study: StudySettings
) -> VersionTables:
    """Differences, agreement, class changes and verdicts of every pair of versions."""
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in VersionTables.__annotations__}
    for names in version_pairs(list(changes)):
        reference, other = changes[names[0]], changes[names[1]]
        gaps = version_differences(reference, other, names=names, settings=study)
        agreement = version_agreement(reference, other, names=names, settings=study)
        found["version_differences"].append(gaps)
        found["version_agreement"].append(agreement)
        found["class_changes"].append(class_changes(reference, other, names=names))
        found["verdicts"].append(verdicts(statistics, gaps, names=names, settings=study))
    return VersionTables(
        version_differences=_concat(found["version_differences"]),
        version_agreement=_concat(found["version_agreement"]),
        class_changes=_concat(found["class_changes"]),
        verdicts=_concat(found["verdicts"]),
    )


def _concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _stacked(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of the model versions below each other, the version in the first column."""
    labelled = []
    for name, table in tables.items():
        own = table.copy()
        own.insert(0, "model_version", name)
        labelled.append(own)
    return pd.concat(labelled, ignore_index=True)


def write_report(settings: AnalyzeSettings) -> None:
    """Pages made of the tables in the output folder, so that they can never say anything else."""
    from lesion_dynamics.report.html.results import read_results
    from lesion_dynamics.workflows.study_report.pages import show, write_pages
    from lesion_dynamics.workflows.study_report.version_files import facts_of_versions

    facts = facts_of_versions(measurement_files(settings.measurements), MANIFEST_FOLDERS)
    show(write_pages(read_results(settings.output), facts))


def _show(text: str, files: dict[str, Path]) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True)
    console.print(text, highlight=False, markup=False, end="")
    console.print(f"Tables: {files['statistics.tsv'].parent}", highlight=False, markup=False)
    pictures = ", ".join(str(path) for name, path in files.items() if name.endswith(".png"))
    console.print(f"Pictures: {pictures}", highlight=False, markup=False)
