"""A cohort and its output in an object store: mirrored, resumable, the bytes of a local run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from tests.conftest import Workplace

from lesion_dynamics.errors import CohortError, ConfigurationError
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.workflows import inference
from lesion_dynamics.workflows.objects import mirror
from lesion_dynamics.workflows.objects.mirror import Mirror, is_remote, url_of

pytestmark = pytest.mark.filterwarnings("ignore")


def test_paths_of_settings_become_addresses_again() -> None:
    assert url_of(Path("s3://bucket/a/b")) == "s3://bucket/a/b"
    assert not is_remote(Path("/data/s3"))
    assert not is_remote(Path("derivatives"))


def test_only_what_changed_is_fetched_and_what_is_gone_goes(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    for name in ("a/one", "two", "derivatives/three"):
        memory.pipe(f"/cohort/{name}", name.encode())
    copy = tmp_path / "copy"
    assert Mirror("memory://cohort", copy).fetch(without=("derivatives",)) == 2
    assert (copy / "a/one").read_bytes() == b"a/one"
    assert not (copy / "derivatives").exists()
    assert Mirror("memory://cohort", copy).fetch(without=("derivatives",)) == 0
    memory.pipe("/cohort/two", b"other")
    (copy / "a/one").write_bytes(b"spoilt")
    assert Mirror("memory://cohort", copy).fetch(without=("derivatives",)) == 2
    assert [(copy / name).read_bytes() for name in ("a/one", "two")] == [b"a/one", b"other"]
    memory.rm("/cohort/two")
    (copy / "unpublished").write_bytes(b"new")
    Mirror("memory://cohort", copy).fetch(without=("derivatives",))
    assert sorted(p.name for p in copy.rglob("*") if p.is_file()) == ["one", "unpublished"]


def test_files_are_put_in_order_and_only_when_they_differ(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("table", "mask", ".partial-x"):
        (copy / name).write_bytes(name.encode())
    put: list[str] = []
    real = type(memory).put_file

    def put_file(self: object, local: str, remote: str, **given: object) -> None:
        put.append(Path(remote).name)
        real(self, local, remote, **given)

    monkeypatch.setattr(type(memory), "put_file", put_file)
    one = Mirror("memory://out", copy)
    assert one.publish_all(last=lambda path: path.name == "table") == 2
    assert put == ["mask", "table"]
    assert one.publish_all(last=lambda path: path.name) == 0
    (copy / "mask").unlink()
    assert Mirror("memory://out", copy).publish_all(last=lambda path: path.name) == 0
    assert memory.ls("/out", detail=False) == ["/out/table"]


def test_a_download_that_is_not_what_the_store_says_is_refused(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/cohort/scan", b"bytes")
    monkeypatch.setattr(mirror, "_mark", lambda info: "0" * 32)
    with pytest.raises(CohortError, match="other bytes than the store says"):
        Mirror("memory://cohort", tmp_path / "copy").fetch()
    assert not (tmp_path / "copy/scan").exists()


def test_a_protocol_that_nothing_speaks_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="speaks this protocol"):
        Mirror("nowhere://bucket/x", tmp_path)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """A bucket of a server on this computer that speaks S3."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem(use_listings_cache=False)
    store.mkdir("lesions")
    yield store
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.slow
def test_an_inference_from_s3_into_s3_has_the_bytes_of_a_local_one(
    trained: tuple[Workplace, ModelVersion],
    bucket: fsspec.AbstractFileSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, data = trained[0].data / "study", tmp_path / "data/study"
    for name in ("sub-ms01", "phenotype"):
        shutil.copytree(source / name, data / name)
    shutil.copy(source / "dataset_description.json", data)
    for name in ("participants.tsv", "phenotype/attacks.tsv"):
        header, *rows = (source / name).read_text().splitlines(keepends=True)
        (data / name).write_text(header + "".join(r for r in rows if r.startswith("sub-ms01")))
    bucket.put(str(data), "lesions/cohort", recursive=True)
    place = Workplace(trained[0].folder, tmp_path / "data")
    local = inference.run(place.inference(f"output={tmp_path}/out", f"cache.folder={tmp_path}/c1"))
    remote = ("cohort.root=s3://lesions/cohort", "output=s3://lesions/out")
    first = inference.run(place.inference(*remote, f"cache.folder={tmp_path}/c2"))
    assert first.done == local.done > 0
    base = "lesions/out/study/lesion-segmenter-v1"
    there = {name.removeprefix(f"{base}/"): bucket.cat_file(name) for name in bucket.find(base)}
    here = {
        str(path.relative_to(local.folder)): path.read_bytes()
        for path in local.folder.rglob("*")
        if path.is_file()
    }
    assert there == here
    # Another computer goes on where this one stopped: it has nothing but the store.
    bucket.rm_file(min(name for name in bucket.find(base) if name.endswith("_mask.nii.gz")))
    other = inference.run(place.inference(*remote, f"cache.folder={tmp_path}/c3"))
    assert (other.done, other.kept) == (1, first.done - 1)
    assert {n.removeprefix(f"{base}/"): bucket.cat_file(n) for n in bucket.find(base)} == here
    assert not list((tmp_path / "c3").rglob("*_FLAIR.nii.gz"))  # scans leave when they are done
    # What is finished is known without a byte of an image, on a third computer too.
    fetched: list[str] = []
    real = Mirror._download

    def download(self: Mirror, name: str, mark: str) -> None:
        fetched.append(name)
        real(self, name, mark)

    monkeypatch.setattr(Mirror, "_download", download)
    third = inference.run(place.inference(*remote, f"cache.folder={tmp_path}/c4"))
    assert (third.done, third.kept) == (0, first.done)
    assert fetched
    assert not [name for name in fetched if name.endswith(".nii.gz")]
    assert {n.removeprefix(f"{base}/"): bucket.cat_file(n) for n in bucket.find(base)} == here
