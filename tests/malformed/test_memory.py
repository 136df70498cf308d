"""What a small file claims or unpacks to takes no memory: measured in a process of its own."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from lesion_dynamics.imaging import voxels as voxel_reading
from lesion_dynamics.imaging.reading import read_image

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc"
)
MIB = 2**20
CHILD = """
import json, sys
from lesion_dynamics.cohort.table_text import read_rows
from lesion_dynamics.errors import UserError
from lesion_dynamics.imaging.reading import read_image
from pathlib import Path
# Not getrusage: its peak is that of the process which started this one, if that was larger.
status = Path("/proc/self/status")
peak = lambda: int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
said = []
before = peak()
for name in sys.argv[1:]:
    path = Path(name)
    try:
        read_rows(path, required=("id",)) if path.suffix == ".tsv" else read_image(path)
        said.append("read")
    except UserError as error:
        said.append(str(error))
print(json.dumps([peak() - before, said]))
"""


def small_image(path: Path) -> bytearray:
    nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4)).to_filename(path)
    return bytearray(gzip.decompress(path.read_bytes()))


def zeros(mebibytes: int) -> bytes:
    """That many MiB of zeros, compressed to a thousandth."""
    return gzip.compress(bytes(MIB), mtime=0) * mebibytes


def claiming(path: Path, *sizes: int, code: int, tail: bytes) -> Path:
    content = small_image(path)
    struct.pack_into("<3h", content, 42, *sizes)
    struct.pack_into("<h", content, 70, code)
    path.write_bytes(gzip.compress(bytes(content)) + tail)
    return path


def offset_into(path: Path, offset: float) -> Path:
    content = small_image(path)
    struct.pack_into("<f", content, 108, offset)
    path.write_bytes(gzip.compress(bytes(content)) + zeros(512))
    return path


def extension_into(path: Path) -> Path:
    """An extension that says it is as large as what can be unpacked."""
    content = small_image(path)
    content[348] = 1
    struct.pack_into("<f", content, 108, float(2**30))
    content[352:360] = struct.pack("<ii", 2**30 - 352, 4)
    path.write_bytes(gzip.compress(bytes(content)) + zeros(1024))
    return path


def test_no_small_file_takes_memory(tmp_path: Path) -> None:
    incompressible = np.random.default_rng(0).bytes(MIB)
    cases = [
        (claiming(tmp_path / "a.nii.gz", 2048, 1024, 1024, code=4, tail=b""), "no head scan"),
        (claiming(tmp_path / "b.nii.gz", 800, 800, 800, code=4, tail=b""), "too small"),
        (
            claiming(
                tmp_path / "c.nii.gz", 512, 512, 512, code=64, tail=gzip.compress(incompressible)
            ),
            "truncated",
        ),
        (claiming(tmp_path / "d.nii.gz", 3, 4, 5, code=4, tail=zeros(512)), "more voxels"),
        # Nearly all of it is there: believed, it would be 480 MiB of float32 before the end.
        (claiming(tmp_path / "i.nii.gz", 512, 512, 512, code=2, tail=zeros(120)), "truncated"),
        (offset_into(tmp_path / "e.nii.gz", 400.0 * MIB), "vox_offset"),
        (extension_into(tmp_path / "f.nii.gz"), "vox_offset"),
        (tmp_path / "g.tsv", "column id is missing"),
        (tmp_path / "h.tsv", "pipe, socket or device"),
    ]
    (tmp_path / "g.tsv").write_bytes(b"x" * 100 + b"\tx" * 2_000_000)
    (tmp_path / "h.tsv").symlink_to("/dev/zero")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *(str(path) for path, _ in cases)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    taken, said = json.loads(done.stdout)
    for (path, expected), line in zip(cases, said, strict=True):
        assert expected in line
        assert str(path) in line
    # The table's 2 million cells are the largest honest object here.
    assert taken < 250 * MIB
    assert done.stderr == ""


def test_a_sound_image_takes_its_float32_voxels_and_one_slab(tmp_path: Path) -> None:
    path = tmp_path / "large.nii.gz"
    header = nib.Nifti1Header()
    header.set_data_shape((288, 288, 288))
    header.set_data_dtype(np.float64)
    header["magic"], header["vox_offset"] = b"n+1", 352
    header["srow_x"][0] = header["srow_y"][1] = header["srow_z"][2] = header["sform_code"] = 1
    voxels = 288**3
    content = header.binaryblock + bytes(4) + struct.pack("<2d", 1.0, 2.0)
    rest = voxels * 8 - 16
    path.write_bytes(gzip.compress(content) + zeros(rest // MIB) + gzip.compress(bytes(rest % MIB)))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    taken, said = json.loads(done.stdout)
    assert said == ["read"]
    assert voxels * 2 < taken < voxels * 4 + 90 * MIB  # stored, they are voxels * 8 bytes


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("scaling", [(None, None), (0.37, -12.5), (1e-3, 0.0)])
def test_slabs_are_what_nibabel_reads_to_the_last_bit(
    tmp_path: Path, dtype: type, scaling: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voxel_reading, "_SLAB_BYTES", 7 * 9 * 8 * 3)
    values = np.random.default_rng(1).uniform(0, 250, (7, 9, 23)).astype(dtype)
    made = nib.Nifti1Image(values, np.diag([1.0, 1.0, 2.0, 1.0]))
    made.header.set_slope_inter(*scaling)
    for name in ("a.nii", "a.nii.gz"):
        made.to_filename(tmp_path / name)
        expected = np.asarray(nib.load(tmp_path / name).dataobj, dtype=np.float32)
        read = read_image(tmp_path / name).voxels
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, expected)
