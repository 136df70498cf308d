"""N4 bias field correction inside the brain (SimpleITK)."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.settings.preprocessing import BiasFieldSettings

_FEWEST_SAMPLES = 64
"""Brain voxels on the shrunken grid below which no field can be fitted (one per coefficient of
N4's coarsest spline)."""

_FEWEST_KNOTS = 4  # a cubic through fewer samples along an axis does not exist


def find_bias_field(image: Image, brain: Image, *, settings: BiasFieldSettings) -> Image:
    """The logarithm of the multiplicative field that N4 finds inside ``brain``.

    Its mean inside the brain is zero, so the level of the intensities stays. One thread: the
    same image gives the same field.

    Parameters
    ----------
    image, brain : on the same grid. Zero and negative voxels have no logarithm and are left out.

    Returns
    -------
    float64 on a shrunken grid of about `shrink_mm` that samples the image's own;
    :func:`without_bias_field` takes it to every voxel.

    Raises
    ------
    ScanError : hardly any of the brain lies on the image.
    """
    factors = _shrink_factors(image, spacing_mm=settings.shrink_mm)
    samples = tuple(slice((factor - 1) // 2, None, factor) for factor in factors)
    inside = ((brain.voxels > 0) & (image.voxels > 0))[samples]
    if int(inside.sum()) < _FEWEST_SAMPLES:
        raise ScanError(
            "hardly any of the brain lies on this image, so its bias field cannot be found",
            where="bias field",
            remedy="Look at the image: does it show the same head as the FLAIR?",
        )
    shrunken = _to_sitk(image.voxels[samples].astype(np.float32), image, factors)
    mask = _to_sitk(inside.astype(np.uint8), image, factors)
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetNumberOfThreads(1)
    corrector.SetMaximumNumberOfIterations(list(settings.iterations))
    corrector.Execute(shrunken, mask)
    log_field = sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(shrunken))
    log_field = log_field.astype(np.float64)
    log_field -= log_field[inside].mean()
    return Image(voxels=log_field, affine=image.affine @ _sampling(samples, factors))


def without_bias_field(image: Image, log_field: Image) -> Image:
    """Divide ``image`` by a field of :func:`find_bias_field`; float32.

    The field is smooth (its splines' knots lie many samples apart), so a cubic spline through
    its samples gives it at every voxel, axis by axis.
    """
    voxel_from_sample = np.linalg.inv(image.affine) @ log_field.affine
    full = log_field.voxels
    for axis in range(3):
        positions = voxel_from_sample[axis, axis] * np.arange(full.shape[axis])
        positions += voxel_from_sample[axis, 3]
        full = _along_axis(full, axis, positions, np.arange(image.shape[axis]))
    return image.with_voxels((image.voxels / np.exp(full)).astype(np.float32))


def _along_axis(
    values: NDArray[np.float64],
    axis: int,
    positions: NDArray[np.float64],
    wanted: NDArray[np.int_],
) -> NDArray[np.float64]:
    if len(positions) == 1:
        return np.repeat(values, len(wanted), axis=axis)
    # The spline is linear in its values: one matrix (wanted, positions) does every line.
    # Beyond the outermost samples the field stays what it is there.
    within = np.clip(wanted, positions[0], positions[-1])
    weights = CubicSpline(positions, np.eye(len(positions)), bc_type="natural")(within)
    moved = np.tensordot(weights, values, axes=(1, axis))
    return np.moveaxis(moved, 0, axis)


def _shrink_factors(image: Image, *, spacing_mm: float) -> list[int]:
    factors = []
    for edge, size in zip(image.voxel_sizes_mm, image.shape, strict=True):
        factors.append(min(max(1, round(spacing_mm / edge)), max(1, size // _FEWEST_KNOTS)))
    return factors


def _sampling(samples: tuple[slice, ...], factors: list[int]) -> NDArray[np.float64]:
    """(4, 4) indices on the shrunken grid to voxel indices of the image."""
    matrix = np.diag([*map(float, factors), 1.0])
    matrix[:3, 3] = [float(axis.start) for axis in samples]
    return matrix


def _to_sitk(voxels: NDArray[np.generic], image: Image, factors: list[int]) -> sitk.Image:
    """Array axes as SimpleITK names them, reversed; only the spacing matters to N4."""
    converted = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
    edges = np.array(image.voxel_sizes_mm) * factors
    converted.SetSpacing([float(edge) for edge in edges[::-1]])
    return converted
