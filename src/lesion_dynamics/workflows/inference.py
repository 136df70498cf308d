"""Inference: a cohort and a model version become lesion masks and a table of lesion volumes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lesion_dynamics.atomic_files import require_writable_folder
from lesion_dynamics.cohort.cohort import Cohort, Exclusion
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import ScanError
from lesion_dynamics.longitudinal.measurements import FILE_NAME
from lesion_dynamics.model_version import LONGITUDINAL, ModelVersion
from lesion_dynamics.output_lock import sole_writer
from lesion_dynamics.preprocessing.gradient_distortion import require_usable_coefficients
from lesion_dynamics.preprocessing.step_cache import open_cache, trim
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.records.outside_version import refuse_outside_folder
from lesion_dynamics.records.repeatability_record import bring_to_measurements
from lesion_dynamics.segmenter.engines.choice import require_engine
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.workflows.inference_quality import report_quality, write_quality_table
from lesion_dynamics.workflows.inference_scans import Outcome, work_on
from lesion_dynamics.workflows.inference_tables import write_tables
from lesion_dynamics.workflows.lineage.recorded_settings import of_inference
from lesion_dynamics.workflows.lineage.written import write_inference_lineage
from lesion_dynamics.workflows.objects.mirror import Mirror
from lesion_dynamics.workflows.objects.staging import output_folder, publish_rest, staged
from lesion_dynamics.workflows.objects.streamed_cohort import StreamedCohort, is_streamed
from lesion_dynamics.workflows.objects.streaming import segment_streamed

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class InferenceResult:
    """What came of an inference.

    measurements : path of the table. done, kept : scans segmented now, and found up to date.
    failures : scans left out because something is wrong with them.
    """

    folder: Path
    measurements: Path
    done: int
    kept: int
    failures: tuple[Exclusion, ...]

    def require_no_failures(self) -> None:
        """Raise `ScanError` if a scan failed; everything else is done and written."""
        if self.failures:
            first = self.failures[0]
            raise ScanError(
                f"{len(self.failures)} scan(s) failed and stand in the table with their reason; "
                f"{self.done + self.kept} are done",
                where=first.who,
                remedy="Mend the files and start the same command again: the others are kept.",
            )


def run(settings: InferSettings) -> InferenceResult:
    """Segment and measure every scan that is not up to date.

    Scans that fail stand in the table with their reason and are listed in the result.

    Raises
    ------
    UserError : the cohort or the model version cannot be used, or the output not be written;
        another process is writing it.
    """
    require_engine(settings.engine)
    version = version_of(settings)
    if is_streamed(settings):
        return _run_streamed(version, settings)
    settings = staged(settings)
    segmenter = version.manifest.segmenter
    cohort = read_cohort(
        settings.cohort,
        required_sequences=segmenter.required_sequences,
        optional_sequences=segmenter.optional_sequences,
        masks_needed=False,
        part=settings.part_numbers,
    )
    require_usable_coefficients(cohort)
    with _output(version, settings) as (folder, mirror):
        if mirror is not None:
            mirror.fetch()
        steps = Steps(open_cache(settings.cache))
        worked = work_on(cohort, version, folder, settings, steps=steps, mirror=mirror)
        trim(settings.cache)
        result = _concluded(cohort, version, folder, settings, Outcome.of(worked))
        publish_rest(mirror)
    return result


def _run_streamed(version: ModelVersion, settings: InferSettings) -> InferenceResult:
    """As `run`, for a cohort in an object store whose scans come when it is their turn."""
    source = StreamedCohort.opened(settings)
    with _output(version, settings) as (folder, mirror):
        cohort, outcome = segment_streamed(source, version, folder, mirror)
        trim(settings.cache)
        result = _concluded(cohort, version, folder, source.settings, outcome)
        publish_rest(mirror)
    return result


@contextmanager
def _output(version: ModelVersion, settings: InferSettings) -> Iterator[tuple[Path, Mirror | None]]:
    """The folder on this computer that is written into, alone, and its mirror in a store."""
    folder, mirror = output_folder(settings, settings.cohort_folder, version.folder_name)
    refuse_outside_folder(folder)
    require_writable_folder(folder)
    with sole_writer(folder):
        yield folder, mirror


def version_of(settings: InferSettings) -> ModelVersion:
    """The model version that is applied, in the mode in which it is.

    Raises
    ------
    ModelVersionError : there is no such version, or its members do not go together.
    """
    from lesion_dynamics.records.ensembles import resolve_all

    version = resolve_all(settings.model_version, settings.tracking, tta=settings.tta)
    return version if settings.longitudinal == "none" else replace(version, mode=LONGITUDINAL)


def _concluded(
    cohort: Cohort,
    version: ModelVersion,
    folder: Path,
    settings: InferSettings,
    outcome: Outcome,
) -> InferenceResult:
    """The tables and what else speaks of all scans, written."""
    failures = [*_broken(cohort), *outcome.unusable, *outcome.failed]
    done = len(outcome.rows) - outcome.kept
    result = InferenceResult(folder, folder / FILE_NAME, done, outcome.kept, tuple(failures))
    write_tables(folder, outcome.rows, failures, cohort, version)
    write_inference_lineage(
        folder,
        version,
        input_hashes=outcome.input_hashes,
        settings=of_inference(settings),
        cohort_root=settings.cohort.root,
        threads=settings.executor.threads_per_process,
        sidecars=outcome.sidecars,
        engines=outcome.engines,
    )
    _report(result, version)
    quality = write_quality_table(folder, cohort, settings.quality, known=outcome.quality)
    bring_to_measurements(version, folder)
    report_quality(quality, len(cohort.scans) - len(outcome.unusable), settings.quality)
    return result


def _broken(cohort: Cohort) -> list[Exclusion]:
    """Scans whose files are there and wrong; a session without a FLAIR is no failure."""
    return [e for e in cohort.exclusions if e.failed]


def _report(result: InferenceResult, version: ModelVersion) -> None:
    _LOG.info(
        "%s: %d scans segmented, %d up to date, %d failed; volumes in %s",
        version.label,
        result.done,
        result.kept,
        len(result.failures),
        result.measurements,
    )
