"""What an analysis leaves on disk."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics import __version__
from lesion_dynamics.atomic_files import hash_of_content, write_json, write_text
from lesion_dynamics.longitudinal.measurements import TRUTH, model_versions
from lesion_dynamics.longitudinal.same_scans import SCAN
from lesion_dynamics.longitudinal.side_by_side import published_figures
from lesion_dynamics.longitudinal.tidy_tables import write_table
from lesion_dynamics.records.lineage import git_state
from lesion_dynamics.report.annualised_change import draw_annualised_change
from lesion_dynamics.report.paper_tables import results_table, write_paper_tables
from lesion_dynamics.report.specification_curve import draw_specification_curve
from lesion_dynamics.report.trajectories import draw_trajectories
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.workflows.analysis_inputs import AnalysisInputs, measurement_files, portable
from lesion_dynamics.workflows.analysis_result import AnalysisResult
from lesion_dynamics.workflows.lineage.written import write_analysis_lineage

_OF_VERSION_PAIRS = (
    "version_differences.tsv", "version_agreement.tsv", "class_changes.tsv", "verdicts.tsv",
)  # fmt: skip
SCAN_COLUMNS = (
    "model_version", "participant_id", "session_id", "diagnosis", "scanner", "days_from_baseline",
    "lesion_volume_mm3",
)  # fmt: skip
_CHECKOUT = Path(__file__).resolve().parents[3]
_RECORDED_VERSIONS = ("numpy", "pandas", "scipy", "statsmodels", "matplotlib")


def write_results(
    result: AnalysisResult, inputs: AnalysisInputs, settings: AnalyzeSettings
) -> dict[str, Path]:
    """Write every table, picture and the provenance; files by name."""
    folder = settings.output
    tables = {
        "statistics.tsv": result.statistics,
        "change_per_participant.tsv": result.changes,
        "intervals.tsv": result.intervals,
        "comparison.tsv": result.comparison,
        "scans_left_out.tsv": result.left_out,
        "robustness.tsv": result.robustness,
        "measurement_error.tsv": result.measurement_error,
        "version_differences.tsv": result.version_differences,
        "version_agreement.tsv": result.version_agreement,
        "class_changes.tsv": result.class_changes,
        "verdicts.tsv": result.verdicts,
        "remission.tsv": result.remission.table,
        "scans.tsv": scans_table(result, inputs),
        "attacks.tsv": inputs.tables.attacks[["participant_id", "days_from_baseline"]],
    }
    tables = {name: table for name, table in tables.items() if table.shape[1]}
    for name in {*_OF_VERSION_PAIRS} - set(tables):
        # A former run with more model versions; its comparisons are not of this one.
        (folder / name).unlink(missing_ok=True)
    for name, table in tables.items():
        write_table(folder / name, table)
    write_text(folder / "study.txt", result.text)
    write_json(folder / "provenance.json", _provenance(result, inputs, settings))
    files = {name: folder / name for name in (*tables, "study.txt", "provenance.json")}
    paper = {"table_one": result.table_one, "results": results_table(result.statistics)}
    files |= write_paper_tables(folder / "paper", paper)
    files |= _draw(result, inputs, settings)
    _write_lineage(files, inputs, settings)
    return files


def scans_table(result: AnalysisResult, inputs: AnalysisInputs) -> pd.DataFrame:
    """Every scan that entered the analysis, with each model version's volume: `SCAN_COLUMNS`."""
    tables = inputs.tables
    people = tables.participants[["participant_id", "diagnosis", "scanner"]]
    people = people.rename(columns={"scanner": "usual_scanner"})
    excluded = pd.MultiIndex.from_frame(result.left_out[SCAN])
    kept = ~pd.MultiIndex.from_frame(tables.sessions[SCAN]).isin(excluded)
    volumes = inputs.measurements[["model_version", *SCAN, "lesion_volume_mm3"]]
    scans = tables.sessions[kept].merge(people, on="participant_id").merge(volumes, on=SCAN)
    scans["scanner"] = scans["scanner"].fillna(scans["usual_scanner"])
    order = {name: at for at, name in enumerate(model_versions(inputs.measurements))}
    return scans.sort_values(
        ["model_version", "participant_id", "days_from_baseline"],
        key=lambda column: column.map(order) if column.name == "model_version" else column,
        ignore_index=True,
    )[list(SCAN_COLUMNS)]


def _draw(
    result: AnalysisResult, inputs: AnalysisInputs, settings: AnalyzeSettings
) -> dict[str, Path]:
    """Trajectories of the newest model version; the annualised change of all."""
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
    curve = draw_specification_curve(
        settings.output, robustness=result.robustness, model_version=newest[0]
    )
    return {path.name: path for path in (*pictures, *curve)}


def _write_lineage(
    files: dict[str, Path], inputs: AnalysisInputs, settings: AnalyzeSettings
) -> None:
    folder = settings.output
    write_analysis_lineage(
        folder,
        measurements={portable(path): path for path in measurement_paths(settings)},
        inputs=inputs.hashes,
        settings={
            "cohort": settings.cohort.name,
            "study": settings.study.name,
            "settings_sha256": settings_hash(settings),
        },
        outputs={path.relative_to(folder).as_posix(): path for path in files.values()},
        cohort_root=settings.cohort.root,
    )


def measurement_paths(settings: AnalyzeSettings) -> list[Path]:
    """The tables of lesion volumes that the settings name."""
    return measurement_files(settings.measurements)


def settings_hash(settings: AnalyzeSettings) -> str:
    """Of the settings as `provenance.json` has them."""
    return hash_of_content(_portable_settings(settings))


def _portable_settings(settings: AnalyzeSettings) -> dict[str, Any]:
    chosen = settings.model_dump(mode="json")
    cohort = settings.cohort
    chosen["cohort"]["root"] = portable(cohort.root)
    for name, path in (("truth", cohort.truth), ("reference_masks", cohort.reference_masks)):
        chosen["cohort"][name] = portable(path) if path else None
    chosen["measurements"] = [portable(Path(path)) for path in settings.measurements]
    for name, file in cohort.distortion.gradient_coefficients.items():
        chosen["cohort"]["distortion"]["gradient_coefficients"][name] = portable(file)
    others = chosen["study"]["robustness"]["other_measurements"]
    for name, patterns in settings.study.robustness.other_measurements.items():
        others[name] = [portable(Path(path)) for path in patterns]
    if settings.new_lesions is not None:
        chosen["new_lesions"] = portable(settings.new_lesions)
    chosen["output"] = portable(settings.output)
    return chosen


def _provenance(
    result: AnalysisResult, inputs: AnalysisInputs, settings: AnalyzeSettings
) -> dict[str, Any]:
    """What the results depend on. No time and no absolute path: the same study, the same bytes."""
    return {
        "settings": _portable_settings(settings),
        "inputs_sha256": inputs.hashes,
        "model_versions": model_versions(inputs.measurements),
        "remission": result.remission.as_json(),
        "git": git_state(_CHECKOUT),
        "versions": {
            "lesion-dynamics": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in _RECORDED_VERSIONS},
        },
    }
