from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.model_version import WEIGHTS_FILE, load_manifest
from lesion_dynamics.records import shipped
from lesion_dynamics.records.registry import resolve
from lesion_dynamics.records.shipped import MODEL_CARD_FILE, SHIPPED_FOLDER, SHIPPED_NAME
from lesion_dynamics.segmenter.segmenter import Segmenter
from lesion_dynamics.settings.tracking import TrackingSettings

LARGEST_WEIGHTS_BYTES = 6_000_000


@pytest.fixture
def tracking(tmp_path: Path) -> TrackingSettings:
    return TrackingSettings(folder=tmp_path / "tracking", uri=None, experiment="test")


def test_the_shipped_files_are_whole_small_and_loadable() -> None:
    manifest = load_manifest(SHIPPED_FOLDER)
    assert manifest.name == SHIPPED_NAME
    assert (SHIPPED_FOLDER / WEIGHTS_FILE).stat().st_size <= LARGEST_WEIGHTS_BYTES
    assert manifest.segmenter.required_sequences == ("FLAIR",)
    card = (SHIPPED_FOLDER / MODEL_CARD_FILE).read_text(encoding="utf-8")
    assert manifest.weights_sha256 in card


def test_a_fresh_store_has_the_baseline_as_version_1(tracking: TrackingSettings) -> None:
    version = resolve(f"{SHIPPED_NAME}/1", tracking)
    assert version.label == f"{SHIPPED_NAME}/1"
    assert version.manifest == load_manifest(SHIPPED_FOLDER)
    segmenter = Segmenter.from_model_version(version, engine="torch")
    assert segmenter.engines[0].divisor == version.manifest.segmenter.network.divisor
    # Asked for again, it is found and not registered a second time.
    assert resolve(f"{SHIPPED_NAME}@candidate", tracking).number == 1
    with pytest.raises(ModelVersionError, match="which has 1"):
        resolve(f"{SHIPPED_NAME}/2", tracking)
    # Registering leaves no number in the package's own folder: that belongs to a store.
    assert not (SHIPPED_FOLDER / "model_version.json").exists()


def test_shipped_weights_with_one_changed_byte_are_refused(
    tracking: TrackingSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "baseline"
    shutil.copytree(SHIPPED_FOLDER, copy)
    content = bytearray((copy / WEIGHTS_FILE).read_bytes())
    content[-1] ^= 1
    (copy / WEIGHTS_FILE).write_bytes(content)
    monkeypatch.setattr(shipped, "SHIPPED_FOLDER", copy)
    with pytest.raises(ModelVersionError, match="SHA-256 differs"):
        resolve(f"{SHIPPED_NAME}/1", tracking)
