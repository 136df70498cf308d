"""Files: truncated, damaged, of another kind, stand-ins for bytes that were never fetched."""

# ruff: noqa: E501 (a table: one entry, one line)
from __future__ import annotations

import bz2
import gzip
import os
import socket
import struct
from pathlib import Path

import numpy as np
from tests.malformed.entry import Entry, changed, flair, pack, t1w, unpacked, with_bytes
from tests.malformed.good_cohort import SHAPE, image

AGAIN = "scan again"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9000\n"
ANNEX = "../../.git/annex/objects/Xx/4k/SHA256E-s9000--ab.nii.gz/SHA256E-s9000--ab.nii.gz"


def cut(path: Path, kept: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])


def flip_byte(path: Path, place: int | None) -> None:
    """``place``: None is the middle."""
    content = bytearray(path.read_bytes())
    place = len(content) // 2 if place is None else place
    content[place] ^= 0xFF
    path.write_bytes(content)


def append(path: Path, tail: bytes) -> None:
    path.write_bytes(path.read_bytes() + tail)


def in_two_members(path: Path) -> None:
    content = bytes(unpacked(path))
    path.write_bytes(gzip.compress(content[:5000]) + gzip.compress(content[5000:]))


def bomb_behind(path: Path) -> None:
    """One gibibyte of zeros behind the last voxel, in one megabyte."""
    append(path, gzip.compress(bytes(2**24)) * 64)


def bomb_for_an_image(root: Path) -> None:
    """A header that claims 2 GiB of float64, and a file that just may hold them and does not."""
    path = flair(root)
    t1w(root).unlink()  # it would not be on the grid that is claimed
    content = unpacked(path)
    struct.pack_into("<3h", content, 42, 640, 640, 640)
    struct.pack_into("<hh", content, 70, 64, 64)
    path.write_bytes(gzip.compress(bytes(content)) + gzip.compress(os.urandom(2**21)))


def unzipped_under_the_same_name(path: Path) -> None:
    path.write_bytes(unpacked(path))


def renamed(root: Path, ending: str, *, packed: bool) -> None:
    path = flair(root)
    content = path.read_bytes() if packed else bytes(unpacked(path))
    path.unlink()
    path.with_name(path.name.removesuffix(".nii.gz") + ending).write_bytes(content)


def replaced_by_link(path: Path, target: str | Path) -> None:
    path.unlink()
    path.symlink_to(target)


def linked(root: Path) -> None:
    """The way a store of data gives files to a project."""
    store = root / "store"
    store.mkdir()
    flair(root).rename(store / "content")
    flair(root).symlink_to("../../../store/content")


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe_in_its_place(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def socket_in_its_place(path: Path) -> None:
    path.unlink()
    before = Path.cwd()
    os.chdir(path.parent)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def only_its_pointer(path: Path) -> None:
    path.unlink()
    path.with_name(f"{path.name}.dvc").write_text("outs:\n- md5: 1\n")


def as_mgz(path: Path) -> None:
    path.unlink()
    path.with_name(path.name.replace(".nii.gz", ".mgz")).write_bytes(gzip.compress(b"\0\0\0\1"))


def with_value(value: float, dtype: type, *, everywhere: bool = True) -> np.ndarray:
    voxels = np.ones(SHAPE, dtype) * np.arange(SHAPE[2], dtype=dtype)
    voxels[(slice(None) if everywhere else slice(3)), ...] = value
    return voxels


def holding(voxels: np.ndarray) -> object:
    return changed(lambda path: image(voxels).to_filename(path))


FILES = [
    Entry("empty file", with_bytes(b""), "excluded", says="empty (0 bytes)", way_out=AGAIN),
    Entry("nothing, compressed", with_bytes(gzip.compress(b"")), "excluded", says="ends within its header", way_out=AGAIN),
    Entry("half a file", changed(lambda p: cut(p, 0.5)), "excluded", says="ends before its image", way_out=AGAIN),
    Entry("cut within the header", changed(lambda p: cut(p, 0.002)), "excluded", says="ends within its header", way_out=AGAIN),
    Entry("one byte short", changed(lambda p: p.write_bytes(p.read_bytes()[:-1])), "excluded", says="truncated", way_out=AGAIN),
    Entry("wrong checksum", changed(lambda p: flip_byte(p, -6)), "excluded", says="damaged (CRC", way_out=AGAIN),
    Entry("wrong length at the end", changed(lambda p: flip_byte(p, -2)), "excluded", says="damaged (Incorrect length", way_out=AGAIN),
    Entry("damage in the middle", changed(lambda p: flip_byte(p, None)), "excluded", says="damaged", way_out=AGAIN),
    Entry("garbage behind the end", changed(lambda p: append(p, b"garbage" * 9)), "excluded", says="damaged (Not a gzipped", way_out=AGAIN),
    Entry("zeros behind the end", changed(lambda p: append(p, bytes(512))), "read"),
    Entry("two gzip members", changed(in_two_members), "read"),
    Entry("compressed twice", changed(lambda p: pack(p, p.read_bytes())), "excluded", says="compressed twice", way_out="gunzip"),
    Entry("a gibibyte behind the image", changed(bomb_behind), "excluded", says="more voxels than its header claims", way_out=AGAIN),
    Entry("2 GiB claimed", bomb_for_an_image, "excluded", says="truncated", way_out=AGAIN),
    Entry("plain under .nii.gz", changed(unzipped_under_the_same_name), "excluded", says="not compressed", way_out="Rename it to .nii"),
    Entry("gzip under .nii", lambda r: renamed(r, ".nii", packed=True), "excluded", file="FLAIR.nii", says="gzip-compressed", way_out="Rename it to .nii.gz"),
    Entry("plain under .nii", lambda r: renamed(r, ".nii", packed=False), "read"),
    Entry("capital letters", lambda r: renamed(r, ".NII.GZ", packed=True), "excluded", file="FLAIR.NII.GZ", says="only .nii and .nii.gz", way_out=".nii.gz"),
    Entry("bzip2", with_bytes(bz2.compress(b"x" * 9000)), "excluded", says="a bzip2 file", way_out=AGAIN),
    Entry("text", with_bytes(b"This image is no longer available.\n" * 20), "excluded", says="a text file", way_out=AGAIN),
    Entry("HTML", with_bytes(b"<!DOCTYPE html>\n<html>Please log in" + b" " * 900), "excluded", says="HTML", way_out=AGAIN),
    Entry("Git LFS pointer", with_bytes(LFS), "excluded", says="Git LFS pointer", way_out="git lfs pull"),
    Entry("git-annex pointer", with_bytes(b"/annex/objects/SHA256E-s9000--ab.nii.gz\n"), "excluded", says="git-annex", way_out="git annex get"),
    Entry("git-annex link", changed(lambda p: replaced_by_link(p, ANNEX)), "excluded", says="git-annex", way_out="git annex get"),
    Entry("only its .dvc", changed(only_its_pointer), "excluded", file="FLAIR.nii.gz.dvc", says="not fetched", way_out="dvc pull"),
    Entry("DICOM", with_bytes(bytes(128) + b"DICM" + bytes(900)), "excluded", says="a DICOM file", way_out=AGAIN),
    Entry("FreeSurfer under .nii.gz", changed(lambda p: pack(p, struct.pack(">8i", 1, *SHAPE, 1, 4, 0, 1).ljust(999, b"\0"))), "excluded", says="FreeSurfer", way_out=AGAIN),
    Entry("a folder", changed(folder_in_its_place), "excluded", says="a folder stands here", way_out="put the file in its place"),
    Entry("a pipe", changed(pipe_in_its_place), "excluded", says="a pipe, socket or device", way_out="Put the file"),
    Entry("a socket", changed(socket_in_its_place), "excluded", says="a pipe, socket or device", way_out="Put the file"),
    Entry("a device without end", changed(lambda p: replaced_by_link(p, "/dev/zero")), "excluded", says="a pipe, socket or device", way_out="Put the file"),
    Entry("link to nowhere", changed(lambda p: replaced_by_link(p, "gone.nii.gz")), "excluded", says="leads nowhere (gone.nii.gz)", way_out="Restore"),
    Entry("link to itself", changed(lambda p: replaced_by_link(p, p.name)), "excluded", says="in a circle", way_out="Put the file"),
    Entry("link to its bytes", linked, "read"),
    Entry("may not be read", changed(lambda p: p.chmod(0)), "excluded", says="may not be read", way_out="permission", unprivileged=True),
    Entry("all zero", holding(np.zeros(SHAPE, np.int16)), "excluded", says="every voxel is 0", way_out=AGAIN),
    Entry("all the same", holding(np.full(SHAPE, 7, np.uint8)), "excluded", says="every voxel is 7", way_out=AGAIN),
    Entry("all NaN", holding(with_value(np.nan, np.float32)), "excluded", says="18720 NaN", way_out=AGAIN),
    Entry("some infinite", holding(with_value(np.inf, np.float32, everywhere=False)), "excluded", says="2160 NaN or infinite", way_out=AGAIN),
    Entry("beyond float32", holding(with_value(1e300, np.float64, everywhere=False)), "excluded", says="2160 NaN or infinite", way_out=AGAIN),
    Entry("half a T1w", lambda r: cut(t1w(r), 0.5), "excluded", file="ses-02_T1w.nii.gz", says="ends before its image", way_out=AGAIN),
    Entry("T1w in another format", lambda r: as_mgz(t1w(r)), "excluded", file="ses-02_T1w.mgz", says="only .nii", way_out="Convert"),
    Entry("T1w never fetched", lambda r: replaced_by_link(t1w(r), ANNEX), "excluded", file="ses-02_T1w.nii.gz", says="git-annex", way_out="git annex get"),
]  # fmt: skip
