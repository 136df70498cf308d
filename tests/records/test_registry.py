"""Model versions in the registry: what is written, what MLflow loads, what is refused."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import torch

from lesion_dynamics.atomic_files import hash_of_file
from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    WEIGHTS_FILE,
    load_manifest,
    require_safetensors,
)
from lesion_dynamics.records.registry import resolve
from lesion_dynamics.records.shipped import SHIPPED_FOLDER, SHIPPED_NAME
from lesion_dynamics.records.store import Store, open_store
from lesion_dynamics.settings.tracking import TrackingSettings

PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib"}


@pytest.fixture
def tracking(tmp_path: Path) -> TrackingSettings:
    return TrackingSettings(folder=tmp_path / "tracking", uri=None, experiment="test")


@pytest.fixture
def store(tracking: TrackingSettings) -> Store:
    """A store in which the shipped baseline is version 1, nothing fetched yet."""
    resolve(f"{SHIPPED_NAME}/1", tracking)
    shutil.rmtree(tracking.folder / "model_versions")
    return open_store(tracking)


def artifacts_of(store: Store) -> Path:
    source = store.client.get_model_version_download_uri(SHIPPED_NAME, "1")
    run_id = source.split("/")[1]
    root = store.client.get_run(run_id).info.artifact_uri.removeprefix("file://")
    return Path(root) / "segmenter"


def test_mlflow_loads_the_version_by_its_registered_name_without_any_pickle(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    written = [path for path in artifacts_of(store).rglob("*") if path.is_file()]
    assert {path.name for path in written} >= {
        "MLmodel", "served_model.py", MANIFEST_FILE, WEIGHTS_FILE, MODEL_CARD_FILE,
    }  # fmt: skip
    assert not [p for p in written if p.suffix in PICKLES or p.read_bytes()[:2] == b"\x80\x04"]
    text = (artifacts_of(store) / "MLmodel").read_text(encoding="utf-8")
    assert "/tmp" not in text
    assert "python_model:" not in text
    loaded = mlflow.pyfunc.load_model(f"models:/{SHIPPED_NAME}/1")
    signature = loaded.metadata.signature
    assert signature.inputs.input_names() == ["FLAIR", "T1w"]
    assert signature.inputs.required_input_names() == ["FLAIR"]
    assert signature.outputs.input_names()[:2] == ["lesion_volume_mm3", "lesion_count"]


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(content)


def rename_a_pickle(folder: Path) -> None:
    (folder / WEIGHTS_FILE).write_bytes(pickle.dumps({"weight": [1.0]}))
    name_the_hash_of(folder, folder / WEIGHTS_FILE)


def rename_a_torch_file(folder: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, folder / WEIGHTS_FILE)
    name_the_hash_of(folder, folder / WEIGHTS_FILE)


def cut_short(folder: Path) -> None:
    content = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).write_bytes(content[:-100])
    name_the_hash_of(folder, folder / WEIGHTS_FILE)


def name_another_hash(folder: Path) -> None:
    name_the_hash_of(folder, folder / MANIFEST_FILE)


def name_the_hash_of(folder: Path, file: Path) -> None:
    said = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    said["weights_sha256"] = hash_of_file(file)
    (folder / MANIFEST_FILE).write_text(json.dumps(said), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip_a_bit, "SHA-256 differs"),
        (rename_a_pickle, "a Python pickle, not safetensors; it is not opened"),
        (rename_a_torch_file, "a Python pickle, not safetensors; it is not opened"),
        (cut_short, "cut short"),
        (name_another_hash, "the weights are not those that the manifest names"),
    ],
)
def test_a_folder_that_is_not_what_it_says_is_refused_in_one_line(
    damage: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "version"
    shutil.copytree(SHIPPED_FOLDER, folder)
    load_manifest(folder)
    damage(folder)
    with pytest.raises(ModelVersionError, match=said) as refused:
        load_manifest(folder)
    assert len(str(refused.value).splitlines()) == 1


def test_the_artifacts_of_a_registered_version_are_compared_with_what_was_registered(
    store: Store, tracking: TrackingSettings
) -> None:
    # Another operating point: the weights still fit, the manifest is not the registered one.
    manifest = artifacts_of(store) / MANIFEST_FILE
    said = json.loads(manifest.read_text(encoding="utf-8"))
    said["operating_point"]["probability_threshold"] = 0.05
    manifest.write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(ModelVersionError, match="not the one that was registered"):
        resolve(f"{SHIPPED_NAME}/1", tracking)


def test_a_fetched_copy_that_was_changed_is_fetched_again(
    store: Store, tracking: TrackingSettings
) -> None:
    version = resolve(f"{SHIPPED_NAME}/1", tracking)
    copy = version.weights.with_name(MANIFEST_FILE)
    said = json.loads(copy.read_text(encoding="utf-8"))
    said["operating_point"]["probability_threshold"] = 0.05
    copy.write_text(json.dumps(said), encoding="utf-8")
    assert resolve(f"{SHIPPED_NAME}/1", tracking).manifest == version.manifest


def test_mlflow_itself_refuses_a_flipped_bit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    flip_a_bit(artifacts_of(store))
    with pytest.raises(mlflow.MlflowException, match="SHA-256 differs"):
        mlflow.pyfunc.load_model(f"models:/{SHIPPED_NAME}/1")


def test_an_entry_of_another_flavour_is_refused(
    store: Store, tracking: TrackingSettings, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "MLmodel").write_text("flavors: {sklearn: {}}\n", encoding="utf-8")
    created = store.client.create_model_version(SHIPPED_NAME, (tmp_path / "other").as_uri())
    with pytest.raises(ModelVersionError, match="of another flavour: another program made it"):
        resolve(f"{SHIPPED_NAME}/{created.version}", tracking)
    # One that even carries our tag has no manifest of ours.
    tagged = store.client.create_model_version(
        SHIPPED_NAME, (tmp_path / "other").as_uri(), tags={"weights_sha256": "0" * 64}
    )
    with pytest.raises(ModelVersionError, match="another program made it"):
        resolve(f"{SHIPPED_NAME}/{tagged.version}", tracking)


def test_artifacts_that_are_gone_are_said_in_one_line(
    store: Store, tracking: TrackingSettings
) -> None:
    shutil.rmtree(artifacts_of(store))
    with pytest.raises(ModelVersionError, match="cannot be fetched") as refused:
        resolve(f"{SHIPPED_NAME}/1", tracking)
    assert len(str(refused.value).splitlines()) == 1


def test_the_frame_of_a_safetensors_file(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 8)
    require_safetensors(path)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ModelVersionError, match="something follows them"):
        require_safetensors(path)
    path.write_bytes(b"\x02" + b"\0" * 7 + b"[]")
    with pytest.raises(ModelVersionError, match="not a safetensors file"):
        require_safetensors(path)
    path.write_bytes(b"")
    with pytest.raises(ModelVersionError, match="not a safetensors file"):
        require_safetensors(path)
