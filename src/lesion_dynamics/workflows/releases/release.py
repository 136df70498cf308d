"""The study for a new model version beside all earlier ones, redoing nothing that is up to date."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from lesion_dynamics.atomic_files import hash_of_file
from lesion_dynamics.records.lineage_file import LINEAGE_FILE, read_lineage
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.inference import CohortInferenceSettings, InferSettings
from lesion_dynamics.settings.release import ReleaseSettings
from lesion_dynamics.source_hash import hash_of_source
from lesion_dynamics.workflows import analysis, inference
from lesion_dynamics.workflows.analysis_inputs import AnalysisInputs, portable, read_inputs
from lesion_dynamics.workflows.analysis_outputs import measurement_paths, settings_hash
from lesion_dynamics.workflows.lineage.written import ANALYSIS_SOURCE

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Release:
    """What was done. segmented, kept : scans. analysed : whether the study was computed anew."""

    model_version: str
    segmented: int
    kept: int
    analysed: bool
    results: Path


def run(settings: ReleaseSettings, *, all_scans: bool = True) -> Release:
    """Infer with the version, then analyse every version of the cohort.

    all_scans : whether failed scans end it with an error once the study is made; else they are
        only said.

    Raises
    ------
    UserError : as ``infer.py`` and ``analyze.py``; of failed scans only after the analysis.
    """
    from lesion_dynamics.records.ensembles import pinned

    told = _inference(settings, pinned(settings.model_version, settings.tracking))
    label = inference.version_of(told).label
    inferred = inference.run(told)
    wanted = _analysis(settings)
    current = is_current(read_inputs(wanted), wanted)
    if current:
        _LOG.info("The study in %s is up to date.", wanted.output)
        if wanted.report:  # of the same tables, but maps and scan pages may have come since
            analysis.write_report(wanted)
    else:
        analysis.run(wanted)
    if all_scans:
        inferred.require_no_failures()
    return Release(label, inferred.done, inferred.kept, not current, wanted.output)


def is_current(inputs: AnalysisInputs, settings: AnalyzeSettings) -> bool:
    """Whether the results were made from these inputs and settings by this code, and are whole."""
    folder = settings.output
    said = read_lineage(folder)
    if said is None or inputs.refusals:
        return False
    record = said["record"]
    if (
        record["inputs"]["sha256"] != inputs.hashes
        or record["settings"].get("settings_sha256") != settings_hash(settings)
        or record["source_sha256"] != hash_of_source(*ANALYSIS_SOURCE)
    ):
        return False
    for path in measurement_paths(settings):
        made = record["inputs"]["derivatives"].get(portable(path), {}).get("lineage_sha256")
        beside = path.with_name(LINEAGE_FILE)
        if made != (hash_of_file(beside) if beside.is_file() else None):
            return False
    outputs: dict[str, str] = record["outputs_sha256"]
    return all(
        (folder / name).is_file() and hash_of_file(folder / name) == sha
        for name, sha in outputs.items()
    )


def _inference(settings: ReleaseSettings, model_version: str) -> InferSettings:
    own = {name: getattr(settings, name) for name in CohortInferenceSettings.model_fields}
    # The number, resolved once; a folder stays what it is.
    return InferSettings(**{**own, "model_version": model_version, "output": settings.derivatives})


def _analysis(settings: ReleaseSettings) -> AnalyzeSettings:
    own = {
        name: getattr(settings, name)
        for name in AnalyzeSettings.model_fields
        if name != "measurements"
    }
    return AnalyzeSettings(measurements=(str(settings.derivatives / settings.cohort.name),), **own)
