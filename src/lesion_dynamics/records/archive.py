"""A model version as a single file, for hospitals without a network.

A zip of stored (not compressed) members without folders: ``archive.json`` names every other
member with its size and SHA-256. The same version gives the same bytes on every machine. Reading
trusts nothing: names, kinds, sizes and hashes are looked at before a byte is written.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from lesion_dynamics.atomic_files import hash_of_file, replacing
from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.input_files import first_bytes
from lesion_dynamics.longitudinal.repeatability import REPEATABILITY_FILE
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    NUMBER_FILE,
    REGISTERED_FILES,
    WEIGHTS_FILE,
    ModelVersion,
)
from lesion_dynamics.settings.strict import Strict

INDEX_FILE: Final = "archive.json"
MEMBERS: Final = (*REGISTERED_FILES, REPEATABILITY_FILE)
LARGEST_WEIGHTS_BYTES: Final = 8 * 1024**3
LARGEST_TEXT_BYTES: Final = 64 * 1024**2
_FORMAT = 1
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first day that a zip can name
_BLOCK = 1024 * 1024
_REMEDY = "Fetch the archive again, or export the model version again."


class Member(Strict):
    """One file of the archive."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class Index(Strict):
    """``archive.json``: what the archive holds, and what the version was called there."""

    format: int = Field(ge=_FORMAT, le=_FORMAT)
    name: str
    number: int = Field(ge=0)
    run_id: str | None
    members: dict[str, Member]

    @property
    def label(self) -> str:
        """``name/number`` where it was exported."""
        return f"{self.name}/{self.number}"


def write_archive(version: ModelVersion, path: Path) -> Index:
    """Write ``version`` to ``path``; what the archive names.

    Raises
    ------
    OutputError : the file cannot be written.
    """
    folder = version.weights.parent
    files = [name for name in MEMBERS if (folder / name).is_file()]
    index = Index(
        format=_FORMAT,
        name=version.name,
        number=version.number,
        run_id=_run_of(folder),
        members={
            name: Member(
                sha256=hash_of_file(folder / name), size_bytes=(folder / name).stat().st_size
            )
            for name in files
        },
    )
    text = json.dumps(index.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(_member(INDEX_FILE), text.encode())
        for name in files:
            target = archive.open(_member(name), "w", force_zip64=True)
            with (folder / name).open("rb") as source, target:
                while block := source.read(_BLOCK):
                    target.write(block)
    return index


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EARLIEST)
    info.create_system = 3  # Unix, wherever it is written
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


def _run_of(folder: Path) -> str | None:
    try:
        said = json.loads((folder / NUMBER_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(said["run_id"]) if said.get("run_id") else None


def unpack_archive(path: Path, folder: Path) -> Index:
    """Check ``path`` and write its members into the empty ``folder``.

    Raises
    ------
    ModelVersionError : it is no archive of ours, a member is not what it should be, or a hash
        differs. Then nothing, or files that nobody has been told of, lie in ``folder``.
    """
    first_bytes(path, 1, refusal=ModelVersionError, restore="Name the file that export wrote.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked_members(archive, path)
            index = _read_index(archive, members, path)
            for name, said in index.members.items():
                _unpack(archive, members[name], said, folder / name, path)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ModelVersionError(
            f"this is not an archive of a model version ({error})", where=path, remedy=_REMEDY
        ) from None
    return index


def _checked_members(archive: zipfile.ZipFile, path: Path) -> Mapping[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        reason = _fault(info, found)
        if reason is not None:
            shown = repr(info.orig_filename)[:80]
            raise ModelVersionError(
                f"the member {shown} {reason}; nothing was unpacked", where=path, remedy=_REMEDY
            )
        found[info.filename] = info
    for needed in (INDEX_FILE, WEIGHTS_FILE, MANIFEST_FILE):
        if needed not in found:
            raise ModelVersionError(
                f"this is not an archive of a model version ({needed} is missing)",
                where=path,
                remedy=_REMEDY,
            )
    return found


def _fault(info: zipfile.ZipInfo, before: Mapping[str, Any]) -> str | None:
    """What forbids a member, or None."""
    name = info.orig_filename
    mode = info.external_attr >> 16
    largest = LARGEST_WEIGHTS_BYTES if name == WEIGHTS_FILE else LARGEST_TEXT_BYTES
    if name.startswith(("/", "\\")) or name[1:2] == ":":
        return "has an absolute path"
    if ".." in name.replace("\\", "/").split("/"):
        return "points outside the folder"
    if stat.S_ISLNK(mode):
        return "is a symbolic link"
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        return "is no plain file"
    if name in before:
        return "stands there twice"
    if name not in (INDEX_FILE, *MEMBERS):
        return "does not belong to a model version"
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        return "is compressed, which export never does"
    if info.file_size > largest:
        return f"is too large ({info.file_size:,} bytes of at most {largest:,})"
    return None


def _read_index(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], path: Path
) -> Index:
    try:
        index = Index.model_validate(json.loads(archive.read(members[INDEX_FILE])))
    except (ValidationError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelVersionError(
            f"{INDEX_FILE} in it cannot be read ({str(error).splitlines()[0]})",
            where=path,
            remedy=_REMEDY,
        ) from None
    if set(index.members) != set(members) - {INDEX_FILE}:
        raise ModelVersionError(
            f"{INDEX_FILE} in it names other members than there are", where=path, remedy=_REMEDY
        )
    return index


def _unpack(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, said: Member, target: Path, path: Path
) -> None:
    digest, size = hashlib.sha256(), 0
    with archive.open(info) as source, target.open("xb") as written:
        while block := source.read(_BLOCK):
            size += len(block)
            if size > said.size_bytes:
                break
            digest.update(block)
            written.write(block)
    if size != said.size_bytes or digest.hexdigest() != said.sha256:
        target.unlink()
        raise ModelVersionError(
            f"{info.filename} in it is not the file that was exported (SHA-256 differs)",
            where=path,
            remedy=_REMEDY,
        )
