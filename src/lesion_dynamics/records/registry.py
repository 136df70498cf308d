"""Model versions in MLflow's registry: safetensors and JSON, never a pickle."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion as RegistryEntry
from mlflow.exceptions import MlflowException

from lesion_dynamics.atomic_files import hash_of_file, write_json
from lesion_dynamics.errors import ModelVersionError, OutputError
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    NUMBER_FILE,
    Manifest,
    ModelVersion,
    identity_of_files,
    load_manifest,
    load_model_version,
)
from lesion_dynamics.records.flavour import ARTIFACT_FOLDER, as_flavour
from lesion_dynamics.records.shipped import SHIPPED_NAME, in_store
from lesion_dynamics.records.store import Store, first_line, open_store
from lesion_dynamics.settings.tracking import TrackingSettings

NEWEST_ALIAS = "candidate"
"""The alias that every newly registered version takes over."""
CHAMPION_ALIAS = "champion"
"""The alias that a version gets by promotion alone."""
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow answers about an alias, or a name, that there is not."""


def register(store: Store, *, run_id: str, folder: Path, as_candidate: bool = True) -> ModelVersion:
    """Register the weights and manifest in ``folder`` under the manifest's name.

    as_candidate : whether it takes over `NEWEST_ALIAS`.

    A version of the same run with the same weights is found again instead of registered twice,
    so an interruption between registering and recording the number does no harm. The number is
    written beside the manifest.
    """
    manifest = load_manifest(folder)
    try:
        number = _number_in_registry(store, manifest, run_id=run_id, folder=folder)
        if as_candidate:
            _point_to_newest(store, manifest.name)
    except MlflowException as error:
        raise OutputError(
            "the training is done, but the registry does not take its model version "
            f"({first_line(error)})",
            where=folder,
            remedy="Start the same command again when the tracking server answers.",
        ) from error
    write_json(folder / NUMBER_FILE, {"name": manifest.name, "number": number, "run_id": run_id})
    return load_model_version(folder)


def _number_in_registry(store: Store, manifest: Manifest, *, run_id: str, folder: Path) -> int:
    client = store.client
    take_name(store, manifest.name)
    known = [
        version
        for version in client.search_model_versions(f"name='{manifest.name}'")
        if version.run_id == run_id
        and version.tags.get("weights_sha256") == manifest.weights_sha256
    ]
    if known:
        number = int(known[0].version)
    else:
        with as_flavour(folder, manifest.segmenter) as flavour:
            client.log_artifacts(run_id, str(flavour), ARTIFACT_FOLDER)
        created = client.create_model_version(
            manifest.name,
            f"runs:/{run_id}/{ARTIFACT_FOLDER}",
            run_id=run_id,
            tags=identity_of_files(folder),
        )
        number = int(created.version)
    return number


def take_name(store: Store, name: str) -> bool:
    """Make the registered name; whether it was made here, or was there already."""
    try:
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return False
    return True


def _point_to_newest(store: Store, name: str) -> None:
    """Let `NEWEST_ALIAS` stand for the highest number.

    Whoever sets it looks again afterwards: of several that register at once, the last one to set
    the alias has seen all of them.
    """
    pointed = None
    while (newest := max(_ours(store, name), default=None)) not in (None, pointed):
        store.client.set_registered_model_alias(name, NEWEST_ALIAS, str(newest))
        pointed = newest


def _ours(store: Store, name: str) -> list[int]:
    return [int(v.version) for v in versions_of(store, name) if "weights_sha256" in v.tags]


def register_once(store: Store, *, run_id: str, folder: Path, as_candidate: bool = True) -> int:
    """Register the files in ``folder``; where they are registered already, under that number.

    Two machines can ask a server at the same moment, and both find nothing. Numbers are given once:
    whoever then sees a lower one of the same files takes its own back.
    """
    version = register(store, run_id=run_id, folder=folder, as_candidate=as_candidate)
    first = min(_same(store, folder), default=version.number)
    if first < version.number:
        store.client.delete_model_version(version.name, str(version.number))
        if as_candidate:
            _point_to_newest(store, version.name)
    return first


def find_same(store: Store, folder: Path) -> int | None:
    """The number under which the very files in ``folder`` are registered already.

    The lowest: a higher one is about to be taken back, see :func:`register_once`.
    """
    return min(_same(store, folder), default=None)


def _same(store: Store, folder: Path) -> list[int]:
    same = identity_of_files(folder)
    versions = versions_of(store, load_manifest(folder).name)
    return [int(v.version) for v in versions if same.items() <= dict(v.tags).items()]


def champion_number(store: Store, name: str) -> int | None:
    """The number that `CHAMPION_ALIAS` stands for now, or None."""
    try:
        return int(store.client.get_model_version_by_alias(name, CHAMPION_ALIAS).version)
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        raise OutputError(
            f"the registry does not answer ({str(error).splitlines()[0][:120]})",
            where=name,
            remedy="Start the tracking server, or correct tracking.uri.",
        ) from error


def set_champion(store: Store, name: str, number: int | None) -> None:
    """Let `CHAMPION_ALIAS` stand for ``number``, or for nothing; `records.champion` says when."""
    try:
        if number is None:
            store.client.delete_registered_model_alias(name, CHAMPION_ALIAS)
        else:
            store.client.set_registered_model_alias(name, CHAMPION_ALIAS, str(number))
    except MlflowException as error:
        if champion_number(store, name) == number:
            return  # two that set it at the same moment break each other; it is set
        raise OutputError(
            f"the registry does not set the alias ({str(error).splitlines()[0][:120]})",
            where=name,
            remedy="Start the same command again when the registry answers.",
        ) from error


def is_registered(store: Store, version: ModelVersion) -> bool:
    """Whether the registry holds this number with these weights."""
    try:
        found = store.client.get_model_version(version.name, str(version.number))
    except MlflowException:
        return False
    return bool(found.tags.get("weights_sha256") == version.manifest.weights_sha256)


def resolve(reference: str, tracking: TrackingSettings) -> ModelVersion:
    """The model version that ``reference`` means now, fixed to its number.

    reference : ``name/number``, ``name@alias``, or a folder that ``train.py`` wrote.
        ``lesion-baseline@shipped`` is what this package ships.

    Raises
    ------
    ModelVersionError : there is no such version, or its bytes are not what they should be.
    """
    folder = Path(reference)
    if (folder / MANIFEST_FILE).is_file():
        return load_model_version(folder)
    name, separator, wanted = reference.replace("@", "/", 1).rpartition("/")
    numbered = "@" in reference or wanted.isdecimal()
    if not separator or not name or "/" in name or not numbered:
        raise ModelVersionError(
            "not a model version: no such folder, and not NAME/NUMBER or NAME@ALIAS",
            where=f"model_version={reference}",
            remedy="Give for example lesion-segmenter/1, or train first: python train.py.",
        )
    return _from_registry(name, wanted, "@" in reference, tracking)


def _from_registry(
    name: str, wanted: str, is_alias: bool, tracking: TrackingSettings
) -> ModelVersion:
    store = open_store(tracking)
    if name == SHIPPED_NAME:
        wanted, is_alias = in_store(wanted, store, tracking, is_alias=is_alias)
    try:
        if is_alias:
            found = store.client.get_model_version_by_alias(name, wanted)
        else:
            found = store.client.get_model_version(name, wanted)
    except MlflowException:
        raise ModelVersionError(
            f"no model version {wanted} of {name} in {_described(store, name)}",
            where=f"model_version={name}{'@' if is_alias else '/'}{wanted}",
            remedy="Name one of these, or train one: python train.py.",
        ) from None
    number = int(found.version)
    # By its weights, since two stores can each have a version of this name and number.
    weights_sha256 = str(found.tags.get("weights_sha256", ""))
    if not weights_sha256:  # before anything of it is fetched
        raise _made_by_another_program(f"{name}/{number}")
    cached = (
        tracking.folder.resolve() / "model_versions" / f"{name}-v{number}-{weights_sha256[:16]}"
    )
    try:
        version = load_model_version(cached)
        _require_registered_manifest(cached / MANIFEST_FILE, found, version.label)
    except ModelVersionError:
        _download(store, found, cached)
        version = load_model_version(cached)
    if version.manifest.weights_sha256 != weights_sha256:
        raise ModelVersionError(
            "the weights are not those that were registered (SHA-256 differs)",
            where=f"{name}/{number}",
            remedy="Name a model version that train.py registered.",
        )
    return version


def versions_of(store: Store, name: str) -> list[RegistryEntry]:
    """All that is registered under ``name``."""
    return list(store.client.search_model_versions(f"name='{name}'"))


def _download(store: Store, found: RegistryEntry, target: Path) -> None:
    name, number, run_id = str(found.name), int(found.version), str(found.run_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
    try:
        source = store.client.get_model_version_download_uri(name, str(number))
        try:
            download_artifacts(artifact_uri=source, dst_path=str(partial), tracking_uri=store.uri)
        except (MlflowException, OSError) as error:
            raise ModelVersionError(
                f"its files cannot be fetched ({str(error).splitlines()[0][:120]})",
                where=f"{name}/{number}",
                remedy="See whether the store's artifact folder is there and complete.",
            ) from error
        inner = next((p.parent for p in partial.rglob(MANIFEST_FILE)), None)
        if inner is None:
            raise _made_by_another_program(f"{name}/{number}")
        _require_registered_manifest(inner / MANIFEST_FILE, found, f"{name}/{number}")
        write_json(inner / NUMBER_FILE, {"name": name, "number": number, "run_id": run_id})
        shutil.rmtree(target, ignore_errors=True)
        inner.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _require_registered_manifest(manifest: Path, found: RegistryEntry, label: str) -> None:
    registered = found.tags.get("manifest_sha256")  # versions of before have none
    if registered is not None and hash_of_file(manifest) != registered:
        raise ModelVersionError(
            "the manifest is not the one that was registered (SHA-256 differs)",
            where=label,
            remedy="Name a model version that train.py registered.",
        )


def _made_by_another_program(label: str) -> ModelVersionError:
    return ModelVersionError(
        "this registry entry is of another flavour: another program made it",
        where=label,
        remedy="Name a model version that train.py registered.",
    )


def _described(store: Store, name: str) -> str:
    versions = versions_of(store, name)
    if not versions:
        return "the registry, which has none of that name"
    numbers = ", ".join(str(number) for number in sorted(int(v.version) for v in versions))
    return f"the registry, which has {numbers}"
