"""The repeatability of a model version, kept with the version and brought to its measurements."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from mlflow.exceptions import MlflowException

from lesion_dynamics.atomic_files import replacing
from lesion_dynamics.errors import OutputError, UserError
from lesion_dynamics.longitudinal.repeatability import REPEATABILITY_FILE, read_repeatability
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.records.registry import is_registered
from lesion_dynamics.records.store import open_store
from lesion_dynamics.settings.tracking import TrackingSettings

_LOG = logging.getLogger(__name__)
ARTIFACT_FOLDER = "segmenter"
"""Of the version's run: beside its weights, so that whoever fetches the version has it too."""
EVIDENCE_FOLDER = "repeatability"


def keep_with_version(
    version: ModelVersion, files: Sequence[Path], tracking: TrackingSettings
) -> None:
    """Copy the record into the version's folder, and all files to its run where it has one.

    The measurement itself is done: a store that does not answer costs a warning.
    """
    record = next((path for path in files if path.name == REPEATABILITY_FILE), None)
    if record is not None:
        _copy(record, version.weights.with_name(REPEATABILITY_FILE))
    try:
        store = open_store(tracking)
        if not is_registered(store, version):
            _LOG.warning("%s is not in the registry: nothing is recorded there", version.label)
            return
        found = store.client.get_model_version(version.name, str(version.number))
        if record is not None:
            store.client.log_artifact(found.run_id, str(record), ARTIFACT_FOLDER)
        for path in files:
            store.client.log_artifact(found.run_id, str(path), EVIDENCE_FOLDER)
    except (MlflowException, OutputError) as error:
        line = str(error).splitlines()[0][:160]
        _LOG.warning("repeatability is not in the registry: %s", line)


def bring_to_measurements(version: ModelVersion, folder: Path) -> None:
    """Lay the version's record beside its measurements, where the cohort has none of its own.

    A record that this cohort's own measurement wrote stays.
    """
    kept, beside = version.weights.with_name(REPEATABILITY_FILE), folder / REPEATABILITY_FILE
    if beside.exists() or not kept.is_file():
        return
    try:
        record = read_repeatability(kept)
    except UserError as error:
        _LOG.warning("%s", error)
        return
    if record.model_version == version.label:
        _copy(kept, beside)


def _copy(source: Path, target: Path) -> None:
    try:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
    except OutputError as error:
        _LOG.warning("%s", error)
