"""Known motions, images after them, and distances between motions."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.resampling import resample


def motion(degrees: list[float], shift_mm: list[float]) -> np.ndarray:
    """Rotation about the world's origin, then a shift; (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def after(image: Image, moved_by: np.ndarray) -> Image:
    """What lay at p lies at ``moved_by`` p, on the same grid."""
    return resample(
        image,
        shape=image.shape,
        affine=image.affine,
        image_from_target=np.linalg.inv(moved_by),
        interpolation="cubic",
    )


def mask_of(image: Image) -> Image:
    """Everything brighter than 1, as uint8."""
    return image.with_voxels((image.voxels > 1).astype(np.uint8))


def displacement(first: np.ndarray, second: np.ndarray, brain: Image) -> float:
    """Mean distance in mm between two motions inside the brain."""
    places = np.argwhere(brain.voxels > 0)[::50]
    world = np.c_[places, np.ones(len(places))] @ brain.affine.T
    return float(np.linalg.norm((world @ (first - second).T)[:, :3], axis=1).mean())


def turned_degrees(first: np.ndarray, second: np.ndarray) -> float:
    """Angle in degrees between the rotations of two motions."""
    between = Rotation.from_matrix(first[:3, :3].T @ second[:3, :3])
    return float(np.degrees(between.magnitude()))
