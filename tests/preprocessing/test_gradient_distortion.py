"""Coefficients of known displacement, and images that are put right by them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_intensities
from lesion_dynamics.preprocessing.gradient_distortion import gradient_warp, require_coefficients
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.preprocessing.transform import moved
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.preprocessing import PreprocessingSettings

pytest.importorskip("gradunwarp")

R0_MM = 250.0
GRAD = """#*[ Script with synthetic coefficients ]*#
 synthetic, no scanner, gradient coil of nobody
 0.250 m = R0, lnorm = 4? A(1,0) = B(1,1) = A(1,1) = 0;
 NO.   TYPE             SPECTRUM                 AXIS
{lines}
"""


def grad_file(folder: Path, *terms: tuple[str, int, int, float, str]) -> Path:
    lines = [
        f" {number}    {kind}({n:3d},{m:3d})   {value:.8f}     {axis}"
        for number, (kind, n, m, value, axis) in enumerate(terms, start=1)
    ]
    path = folder / "synthetic.grad"
    path.write_text(GRAD.format(lines="\n".join(lines)), encoding="utf-8")
    return path


POINTS = np.random.default_rng(3).uniform(-90, 90, (3, 200))
HEAD = Image(np.zeros((50, 60, 50), dtype=np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
HEAD.affine[:3, 3] = [-100, -120, -100]


def test_the_zonal_third_harmonic_displaces_along_z_by_its_closed_form(tmp_path: Path) -> None:
    alpha = 0.06
    warp = gradient_warp(HEAD, grad_file(tmp_path, ("A", 3, 0, alpha, "z")))
    x, y, z = POINTS
    # R0 alpha (r/R0)^3 P3(cos theta); even in the axes that the vendor turns round, so the sign
    # of z comes back.
    radius2 = x**2 + y**2 + z**2
    expected = R0_MM * alpha / R0_MM**3 * 0.5 * (5 * z**3 - 3 * z * radius2)
    assert np.abs(expected).max() > 0.5
    displacement = warp.moved(POINTS) - POINTS
    np.testing.assert_allclose(displacement[2], expected, atol=0.02)
    np.testing.assert_allclose(displacement[:2], 0, atol=1e-5)


def test_the_vendors_axes_run_to_the_left_and_down(tmp_path: Path) -> None:
    alpha = 0.02
    warp = gradient_warp(
        HEAD, grad_file(tmp_path, ("A", 2, 0, alpha, "z"), ("A", 2, 0, alpha, "y"))
    )
    x, y, z = POINTS
    even = R0_MM * alpha / R0_MM**2 * 0.5 * (2 * z**2 - x**2 - y**2)
    displacement = warp.moved(POINTS) - POINTS
    np.testing.assert_allclose(displacement[2], -even, atol=0.02)
    np.testing.assert_allclose(displacement[1], even, atol=0.02)


def test_the_tesseral_third_harmonic_displaces_along_x_by_its_closed_form(tmp_path: Path) -> None:
    alpha = 0.05
    warp = gradient_warp(HEAD, grad_file(tmp_path, ("A", 3, 1, alpha, "x")))
    x, y, z = POINTS
    radius2 = x**2 + y**2 + z**2
    # Normalised sqrt((2n+1)(n-m)! / 2(n+m)!) = sqrt(7/24); P31 = 3/2 (5 cos^2 - 1) sin.
    expected = R0_MM * alpha * np.sqrt(7 / 24) * 1.5 * x * (5 * z**2 - radius2) / R0_MM**3
    assert np.abs(expected).max() > 0.3
    displacement = warp.moved(POINTS) - POINTS
    np.testing.assert_allclose(displacement[0], expected, atol=0.02)
    np.testing.assert_allclose(displacement[1:], 0, atol=1e-5)


@pytest.fixture(scope="module")
def stretched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A(1,0) along z: everything lies 3% further from the isocentre along z than it was."""
    return grad_file(tmp_path_factory.mktemp("grad"), ("A", 1, 0, 0.03, "z"))


def test_a_stretched_scan_gets_its_true_size_back(
    flair: Image, stretched: Path, settings: PreprocessingSettings, tmp_path: Path
) -> None:
    distorted = Image(flair.voxels, np.diag([1, 1, 1.03, 1]) @ flair.affine)
    write_intensities(tmp_path / "FLAIR.nii.gz", distorted)
    scan = Scan(
        "sub-01",
        "ses-01",
        {"FLAIR": tmp_path / "FLAIR.nii.gz"},
        gradient_coefficients=stretched,
    )
    done = Prepared(skull_stripped=True, sequences_aligned=True, bias_corrected=True)
    found = prepare_scan(scan, done, settings=settings)
    np.testing.assert_array_equal(found.brain_mask.shape, flair.shape)
    native = np.array([[10.0, -40.0], [-20.0, 15.0], [51.5, -20.6]])
    true = moved(native, found.steps_to_participant)
    np.testing.assert_allclose(true, native / np.array([[1], [1], [1.03]]), atol=2e-3)
    np.testing.assert_allclose(moved(true, found.steps_to_image("FLAIR")), native, atol=2e-3)
    scale = found.volume_scale()
    inside = found.brain_mask.voxels > 0
    np.testing.assert_allclose(np.asarray(scale)[inside], 1 / 1.03, rtol=1e-4)
    undistorted = found.flair.undistorted().voxels
    assert undistorted[inside].std() > 10
    plain = prepare_scan(
        Scan(scan.participant_id, scan.session_id, scan.images), done, settings=settings
    )
    assert plain.flair.gradient_warp is None
    assert plain.volume_scale() == 1.0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.grad", None, "cannot be read"),
        ("scanner.coef", "A 1 2", "only Siemens .grad"),
        ("empty.grad", "nothing here\n", "no radius R0"),
        ("radius.grad", " 0.250 m = R0\n", "no coefficient"),
        ("huge.grad", " 0.250 m = R0\n 1 A(120, 0) 0.1 z\n", "no valid coefficient"),
        ("bytes.grad", b"\xff\xfe\x00\x81", "cannot be read"),
    ],
)
def test_what_is_no_coefficient_file_is_refused(
    tmp_path: Path, name: str, content: str | bytes | None, words: str
) -> None:
    if isinstance(content, str):
        (tmp_path / name).write_text(content, encoding="utf-8")
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as raised:
        require_coefficients(tmp_path / name)
    assert name in str(raised.value)


def test_without_gradunwarp_the_way_to_get_it_is_said(
    stretched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradunwarp.core", None)
    with pytest.raises(ConfigurationError, match=r"lesion-dynamics\[gradunwarp\]"):
        require_coefficients(stretched)
