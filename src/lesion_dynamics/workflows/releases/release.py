"""The study for a new model version beside all earlier ones, redoing nothing that is up to date."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from lesion_dynamics.atomic_files import hash_of_file
from lesion_dynamics.records.lineage_file import LINEAGE_FILE, read_lineage
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.inference import InferSettings
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


def run(settings: ReleaseSettings) -> Release:
    """Infer with the version, then analyse every version of the cohort.

    Raises
    ------
    UserError : as ``infer.py`` and ``analyze.py``; of failed scans only after the analysis.
    """
    from lesion_dynamics.records.registry import resolve

    version = resolve(settings.model_version, settings.tracking)
    inferred = inference.run(_inference(settings, version.label))
    wanted = _analysis(settings)
    current = is_current(read_inputs(wanted), wanted)
    if current:
        _LOG.info("The study in %s is up to date.", wanted.output)
    else:
        analysis.run(wanted)
    inferred.require_no_failures()
    return Release(version.label, inferred.done, inferred.kept, not current, wanted.output)


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


def _inference(settings: ReleaseSettings, label: str) -> InferSettings:
    reference = settings.model_version
    return InferSettings(
        cohort=settings.cohort,
        # The number, resolved once; a folder stays what it is.
        model_version=reference if Path(reference).is_dir() else label,
        executor=settings.executor,
        tracking=settings.tracking,
        mni=settings.mni,
        cache=settings.cache,
        quality=settings.quality,
        output=settings.derivatives,
    )


def _analysis(settings: ReleaseSettings) -> AnalyzeSettings:
    return AnalyzeSettings(
        cohort=settings.cohort,
        measurements=(str(settings.derivatives / settings.cohort.name),),
        study=settings.study,
        output=settings.output,
    )
