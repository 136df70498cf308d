from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from lesion_dynamics import api
from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.model_version import MANIFEST_FILE, WEIGHTS_FILE, load_manifest
from lesion_dynamics.records import shipped
from lesion_dynamics.records.registry import resolve
from lesion_dynamics.records.shipped import MODEL_CARD_FILE, SHIPPED_FOLDER, SHIPPED_NAME
from lesion_dynamics.records.store import REGISTERING_LOCK_FILE, open_store, sole_registration
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
    assert len(segmenter.engines) == 1
    weights = load_file(version.weights)
    assert sum(w.size for w in weights.values()) > 1_000_000
    # Asked for again, it is found and not registered a second time.
    assert resolve(f"{SHIPPED_NAME}@candidate", tracking).number == 1
    with pytest.raises(ModelVersionError, match="which has 1"):
        resolve(f"{SHIPPED_NAME}/2", tracking)
    # Registering leaves no number in the package's own folder: that belongs to a store.
    assert not (SHIPPED_FOLDER / "model_version.json").exists()


def test_two_processes_that_ask_first_register_it_once(
    tracking: TrackingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tracking)

    @contextmanager
    def after_another(settings: TrackingSettings) -> Iterator[None]:
        shipped.register_shipped(store)
        with sole_registration(settings):
            lock = (settings.folder / REGISTERING_LOCK_FILE).open("w")
            with lock, pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    monkeypatch.setattr(shipped, "sole_registration", after_another)
    assert resolve(f"{SHIPPED_NAME}@candidate", tracking).number == 1
    assert len(store.client.search_model_versions(f"name='{SHIPPED_NAME}'")) == 1
    # Nor was it registered and taken back.
    assert len(store.client.search_runs([store.experiment_id])) == 1


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


@pytest.fixture
def after_upgrade(
    tracking: TrackingSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrackingSettings:
    """A store that knows the baseline of an earlier release: another threshold, 0.77."""
    of_now = load_manifest(SHIPPED_FOLDER)
    former = tmp_path / "former"
    shutil.copytree(SHIPPED_FOLDER, former)
    point = of_now.operating_point.model_copy(update={"probability_threshold": 0.77})
    manifest = of_now.model_copy(update={"operating_point": point})
    (former / MANIFEST_FILE).write_text(manifest.model_dump_json(), encoding="utf-8")
    with monkeypatch.context() as earlier:
        earlier.setattr(shipped, "SHIPPED_FOLDER", former)
        assert resolve(f"{SHIPPED_NAME}@shipped", tracking).label == f"{SHIPPED_NAME}/1"
    return tracking


def test_after_an_upgrade_the_store_gets_the_new_baseline_and_keeps_the_old(
    after_upgrade: TrackingSettings,
) -> None:
    def threshold(reference: str) -> float:
        return resolve(reference, after_upgrade).manifest.operating_point.probability_threshold

    of_now = load_manifest(SHIPPED_FOLDER)
    assert threshold(f"{SHIPPED_NAME}/1") == 0.77  # its number means what it meant
    new = resolve(f"{SHIPPED_NAME}@shipped", after_upgrade)
    assert (new.number, new.manifest) == (2, of_now)
    assert resolve(f"{SHIPPED_NAME}@shipped", after_upgrade).number == 2
    assert resolve(f"{SHIPPED_NAME}/2", after_upgrade).manifest == of_now
    # The newest version of a group's own choice is not taken over.
    assert threshold(f"{SHIPPED_NAME}@candidate") == 0.77


def test_python_calls_the_shipped_weights_by_their_number_in_the_store(
    after_upgrade: TrackingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name without a version may be one that another machine registers: no wait for that here.
    monkeypatch.setattr(shipped, "_PATIENCE_SECONDS", 0.0)

    def found(reference: str) -> tuple[str, float]:
        version = api._resolved(reference, after_upgrade.folder, tta="none")
        return version.label, version.manifest.operating_point.probability_threshold

    of_now = load_manifest(SHIPPED_FOLDER).operating_point.probability_threshold
    assert found(api.SHIPPED) == (f"{SHIPPED_NAME}/2", of_now)
    assert found(f"{SHIPPED_NAME}/1") == (f"{SHIPPED_NAME}/1", 0.77)
    store = open_store(after_upgrade)
    versions = store.client.search_model_versions(f"name='{SHIPPED_NAME}'")
    assert [one.version for one in versions] == [1]  # for one scan nothing is registered
    store.client.delete_model_version(SHIPPED_NAME, "1")
    assert found(api.SHIPPED) == (f"{SHIPPED_NAME}/2", of_now)  # numbers are given once
    assert resolve(api.SHIPPED, after_upgrade).label == f"{SHIPPED_NAME}/2"
    assert found(api.SHIPPED) == (f"{SHIPPED_NAME}/2", of_now)


def test_who_names_another_releases_baseline_is_told_of_this_ones(
    after_upgrade: TrackingSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for reference, told in ((f"{SHIPPED_NAME}/1", True), (api.SHIPPED, False),
                            (f"{SHIPPED_NAME}/2", False), (f"{SHIPPED_NAME}/1", True)):  # fmt: skip
        caplog.clear()
        resolve(reference, after_upgrade)
        assert (f"that is {SHIPPED_NAME}@shipped" in caplog.text) == told
