"""Grids of known geometry that the imaging tests share."""

import nibabel as nib
import numpy as np
import pytest

ISOTROPIC = np.diag([1.0, 1.0, 1.0, 1.0])
ANISOTROPIC = np.array([[-0.7, 0, 0, 110], [0, -0.7, 0, 100], [0, 0, 3.0, -80], [0, 0, 0, 1]])


def oblique(sizes: tuple[float, float, float]) -> np.ndarray:
    """Voxels of the given sizes, turned by 20 degrees about x and 35 about z."""
    about_x, about_z = np.deg2rad(20), np.deg2rad(35)
    first = np.array(
        [
            [1, 0, 0],
            [0, np.cos(about_x), -np.sin(about_x)],
            [0, np.sin(about_x), np.cos(about_x)],
        ]
    )
    second = np.array(
        [
            [np.cos(about_z), -np.sin(about_z), 0],
            [np.sin(about_z), np.cos(about_z), 0],
            [0, 0, 1],
        ]
    )
    affine = np.eye(4)
    affine[:3, :3] = first @ second @ np.diag(sizes)
    affine[:3, 3] = (-12.5, 7.25, 30)
    return affine


def sheared() -> np.ndarray:
    """Edges (1, 0, 0), (0.6, 0.8, 0), (0, 0, 2) mm: the volume is 1.6, the edges say 2 mm3."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0.6, 0], [0, 0.8, 0], [0, 0, 2]])
    return affine


GRIDS = {
    "isotropic": (ISOTROPIC, 1.0),
    "anisotropic": (ANISOTROPIC, 0.7 * 0.7 * 3.0),
    "oblique": (oblique((0.5, 1.25, 4.0)), 0.5 * 1.25 * 4.0),
    "sheared": (sheared(), 1.6),
}


@pytest.fixture(params=list(GRIDS))
def grid(request):
    """An affine, and the volume of its voxels in mm3."""
    return GRIDS[request.param]


@pytest.fixture
def sheared_affine():
    return sheared()


@pytest.fixture
def oblique_affine():
    return oblique((0.5, 1.25, 4.0))


@pytest.fixture
def nifti(tmp_path):
    """Write voxels as NIfTI, as another program would; return the path."""

    def write(voxels, affine=ANISOTROPIC, name="scan.nii.gz"):
        image = nib.Nifti1Image(voxels, affine)
        image.set_sform(affine, 1)
        image.set_qform(affine, 1)
        image.to_filename(tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def noise():
    return np.random.default_rng(7).uniform(1, 100, size=(6, 7, 8)).astype(np.float32)
