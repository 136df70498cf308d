"""One file with a model version: the same bytes, the same version, and nothing else let in."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import composed
from tests.workflows.releases.tiny_version import make_version

from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.longitudinal.repeatability import REPEATABILITY_FILE, read_repeatability
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    ORIGIN_FILE,
    WEIGHTS_FILE,
    ModelVersion,
)
from lesion_dynamics.records.archive import INDEX_FILE, unpack_archive
from lesion_dynamics.settings.releases import ExportSettings, ImportSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.releases.carrying import export, import_version

Members = list[tuple[zipfile.ZipInfo, bytes]]


def exported(tmp_path: Path, version: ModelVersion, name: str = "version.zip") -> Path:
    given = [f"model_version={version.weights.parent}", f"file={tmp_path / name}"]
    return export(validated(ExportSettings, composed("export", *given)))


def imported(tmp_path: Path, file: Path, *more: str) -> ModelVersion:
    given = [f"file={file}", f"tracking.folder={tmp_path / 'tracking'}", *more]
    return import_version(validated(ImportSettings, composed("import_version", *given)))


@pytest.mark.slow
def test_a_version_comes_back_the_same_under_the_stated_rule(tmp_path: Path) -> None:
    version = make_version(tmp_path / "version", name="group-a", number=7)
    record = {
        "format": 1, "model_version": "group-a/7", "source": "pairs",
        "figures": [{"diagnosis": "all", "noise_mm3": 5.0, "noise_share": 0.1, "scans": 4}],
    }  # fmt: skip
    (tmp_path / "version" / REPEATABILITY_FILE).write_text(json.dumps(record), encoding="utf-8")
    file = exported(tmp_path, version)
    # The same bytes whenever it is written; a folder receives a file of the version's name.
    assert exported(tmp_path, version, "again.zip").read_bytes() == file.read_bytes()
    (tmp_path / "folder").mkdir()
    assert exported(tmp_path, version, "folder") == tmp_path / "folder" / "group-a-v7.zip"
    here = imported(tmp_path, file)
    assert here.label == "group-a/1"
    assert here.manifest == version.manifest
    assert here.weights.read_bytes() == version.weights.read_bytes()
    folder = here.weights.parent
    card = (tmp_path / "version" / MODEL_CARD_FILE).read_bytes()
    assert (folder / MODEL_CARD_FILE).read_bytes() == card
    origin = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
    assert (origin["model_version"], origin["run_id"]) == ("group-a/7", "r" * 32)
    assert read_repeatability(folder / REPEATABILITY_FILE).model_version == "group-a/1"
    # The same archive is the same version; under another name it is that name's first.
    assert imported(tmp_path, file).label == "group-a/1"
    renamed = imported(tmp_path, file, "name=group-b")
    assert renamed.label == "group-b/1"
    assert renamed.manifest.name == "group-b"
    assert renamed.manifest.training == version.manifest.training
    # Carried on, the chain of origins is kept.
    onward = imported(tmp_path, exported(tmp_path, renamed, "onward.zip"), "name=group-c")
    told = json.loads((onward.weights.with_name(ORIGIN_FILE)).read_text(encoding="utf-8"))
    assert told["model_version"] == "group-b/1"
    assert told["before"]["model_version"] == "group-a/7"


def outside(members: Members) -> None:
    members.append((zipfile.ZipInfo("../evil.json"), b"{}"))


def outside_by_backslash(members: Members) -> None:
    members.append((zipfile.ZipInfo("..\\evil.json"), b"{}"))


def absolute(members: Members) -> None:
    members.append((zipfile.ZipInfo("/tmp/evil.json"), b"{}"))


def symlink(members: Members) -> None:
    info = zipfile.ZipInfo(MODEL_CARD_FILE)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    members[-1] = (info, b"/etc/passwd")


def twice(members: Members) -> None:
    members.append((zipfile.ZipInfo(MANIFEST_FILE), b"{}"))


def bomb(members: Members) -> None:
    info = zipfile.ZipInfo(MODEL_CARD_FILE)
    info.compress_type = zipfile.ZIP_DEFLATED
    members[-1] = (info, b"\0" * 10_000_000)


def stranger(members: Members) -> None:
    members.append((zipfile.ZipInfo("model.pkl"), b"\x80\x04."))


def other_weights(members: Members) -> None:
    place = next(i for i, (info, _) in enumerate(members) if info.filename == WEIGHTS_FILE)
    content = bytearray(members[place][1])
    content[-1] ^= 1
    members[place] = (zipfile.ZipInfo(WEIGHTS_FILE), bytes(content))


def no_weights(members: Members) -> None:
    members[:] = [m for m in members if m[0].filename != WEIGHTS_FILE]


def unnamed(members: Members) -> None:
    members[:] = [m for m in members if m[0].filename != MODEL_CARD_FILE]


def no_index(members: Members) -> None:
    members[0] = (zipfile.ZipInfo(INDEX_FILE), b'{"format": 1}')


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (outside, "points outside the folder"),
        (outside_by_backslash, "points outside the folder"),
        (absolute, "has an absolute path"),
        (symlink, "is a symbolic link"),
        (twice, "stands there twice"),
        (bomb, "is compressed, which export never does"),
        (stranger, "does not belong to a model version"),
        (other_weights, "SHA-256 differs"),
        (no_weights, "weights.safetensors is missing"),
        (unnamed, "names other members than there are"),
        (no_index, "archive.json in it cannot be read"),
    ],
)
def test_an_archive_that_export_did_not_write_is_refused(
    damage: Callable[[Members], None], said: str, tmp_path: Path
) -> None:
    file = exported(tmp_path, make_version(tmp_path / "version"))
    with zipfile.ZipFile(file) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    damage(members)
    with zipfile.ZipFile(tmp_path / "damaged.zip", "w") as archive:
        for info, content in members:
            archive.writestr(info, content)
    target = tmp_path / "target" / "inner"
    target.mkdir(parents=True)
    with pytest.raises(ModelVersionError, match=said) as refused:
        unpack_archive(tmp_path / "damaged.zip", target)
    assert len(str(refused.value).splitlines()) == 1
    assert {path.name for path in (tmp_path / "target").iterdir()} == {"inner"}
    assert not [path for path in target.iterdir() if path.is_symlink()]


def test_a_member_that_claims_too_many_bytes_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lesion_dynamics.records import archive

    file = exported(tmp_path, make_version(tmp_path / "version"))
    monkeypatch.setattr(archive, "LARGEST_WEIGHTS_BYTES", 100)
    (tmp_path / "target").mkdir()
    with pytest.raises(ModelVersionError, match="is too large"):
        unpack_archive(file, tmp_path / "target")
    assert not list((tmp_path / "target").iterdir())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"not a zip at all"])
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_bytes(content)
    with pytest.raises(ModelVersionError, match="not an archive of a model version"):
        unpack_archive(tmp_path / "file.zip", tmp_path)
    with pytest.raises(ModelVersionError, match="no such file"):
        unpack_archive(tmp_path / "none.zip", tmp_path)
