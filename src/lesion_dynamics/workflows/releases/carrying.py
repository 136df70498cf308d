"""Export of a model version to one file, and its import on another machine.

The rule of an import: the name stays unless another is stated; the number is the next of that
name in the registry here. ``origin.json`` keeps what the version was there, and the manifest keeps
its training's lineage. The same archive is the same version when it is imported again.
"""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

from lesion_dynamics.atomic_files import hash_of_file, write_json
from lesion_dynamics.longitudinal.repeatability import REPEATABILITY_FILE, read_repeatability
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    ORIGIN_FILE,
    WEIGHTS_FILE,
    ModelVersion,
    load_manifest,
)
from lesion_dynamics.records.archive import Index, unpack_archive, write_archive
from lesion_dynamics.settings.releases import ExportSettings, ImportSettings

_LOG = logging.getLogger(__name__)
_ORIGIN_FORMAT = 1


def export(settings: ExportSettings) -> Path:
    """Write the archive; its path.

    Raises
    ------
    UserError : no such version, its bytes are not what they should be, or no place to write.
    """
    from lesion_dynamics.records.registry import resolve

    version = resolve(settings.model_version, settings.tracking)
    path = settings.file
    if path.is_dir():
        path = path / f"{version.folder_name}.zip"
    write_archive(version, path)
    _LOG.info("%s is in %s, SHA-256 %s", version.label, path, hash_of_file(path))
    return path


def import_version(settings: ImportSettings) -> ModelVersion:
    """Check the archive and register what it holds; the version as it is called here.

    Raises
    ------
    UserError : the archive is refused, or the registry does not take it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index = unpack_archive(settings.file, folder)
        load_manifest(folder)
        repeatability = folder / REPEATABILITY_FILE
        if repeatability.is_file():
            read_repeatability(repeatability)
        wanted = settings.name or index.name
        origin = _origin(index, folder)
        _take_name(folder, wanted)
        write_json(folder / ORIGIN_FILE, origin)
        version = _registered(folder, origin, settings)
        _keep_repeatability(repeatability, version)
    _LOG.info("%s is here %s", index.label, version.label)
    return version


def _origin(index: Index, folder: Path) -> dict[str, Any]:
    earlier = folder / ORIGIN_FILE
    return {
        "format": _ORIGIN_FORMAT,
        "model_version": index.label,
        "run_id": index.run_id,
        "weights_sha256": hash_of_file(folder / WEIGHTS_FILE),
        "manifest_sha256": hash_of_file(folder / MANIFEST_FILE),
        "before": json.loads(earlier.read_text(encoding="utf-8")) if earlier.is_file() else None,
    }


def _take_name(folder: Path, name: str) -> None:
    said = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    if said["name"] != name:
        write_json(folder / MANIFEST_FILE, {**said, "name": name})


def _registered(folder: Path, origin: dict[str, Any], settings: ImportSettings) -> ModelVersion:
    from lesion_dynamics.records.registry import find_same, register_once, resolve
    from lesion_dynamics.records.store import open_store
    from lesion_dynamics.records.training_run import TrainingRun

    manifest = load_manifest(folder)
    store = open_store(settings.tracking)
    number = find_same(store, folder)
    if number is None:
        tags = {"imported_from": origin["model_version"], "weights_sha256": manifest.weights_sha256}
        tracked = TrainingRun.start(store, name=f"{manifest.name}, imported", tags=tags)
        try:
            number = register_once(store, run_id=tracked.run_id, folder=folder)
        except BaseException:
            tracked.fail()
            raise
        tracked.finish()
    return resolve(f"{manifest.name}/{number}", settings.tracking)


def _keep_repeatability(record: Path, version: ModelVersion) -> None:
    """The measured repeatability beside the version as it lies here, under its label here."""
    if record.is_file():
        said = json.loads(record.read_text(encoding="utf-8"))
        here = version.weights.with_name(REPEATABILITY_FILE)
        write_json(here, {**said, "model_version": version.label})
