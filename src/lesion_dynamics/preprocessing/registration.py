"""Rigid registration by greedy (normalised mutual information).

Yushkevich et al. 2016, doi 10.1016/j.jalz.2016.06.440; the wheel picsl-greedy.
"""

from __future__ import annotations

import io

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.native_output import native_output_silenced
from lesion_dynamics.preprocessing.rigid_motion import nearest_rigid
from lesion_dynamics.settings.preprocessing import RegistrationSettings

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SEED = 7  # greedy jitters its samples; its default seed is the clock
_BRAIN_MARGIN_MM = 5.0
"""Around the brain: its edge against the fluid and the skull's inside guides the metric, while
scalp, jaw and neck, which move by themselves, are out of it."""

_COVERED = 0.7
"""Share of the brain that a sequence of the same session must cover by its header, before
that header is believed as the start of the registration."""


def rigid_registration(
    fixed: Image,
    moving: Image,
    *,
    settings: RegistrationSettings,
    start: Affine,
    fixed_brain: Image,
) -> Affine:
    """The rigid motion that brings ``moving`` onto ``fixed``.

    One thread, a fixed seed: the same images give the same matrix.

    Parameters
    ----------
    start : (4, 4) first guess of what is returned.
    fixed_brain : mask on the grid of `fixed`; the images are compared in and around it.

    Returns
    -------
    (4, 4), fixed world to moving world (RAS+ mm): where a point of ``fixed`` lies in ``moving``.

    Raises
    ------
    ScanError : greedy does not converge to a rigid motion.
    """
    from picsl_greedy import Greedy3D

    # Greedy takes no first guess from memory, so the moving image is laid there instead.
    laid_at_start = Image(voxels=moving.voxels, affine=np.linalg.inv(start) @ moving.affine)
    greedy = Greedy3D()
    printed = io.StringIO()
    levels = "x".join(str(count) for count in settings.iterations)
    try:
        with native_output_silenced():
            greedy.execute(
                f"-i fixed moving -a -dof 6 -m {settings.metric} -n {levels} -ia-identity "
                f"-gm region -o found -seed {_SEED} -threads 1 -V 0",
                fixed=to_sitk(fixed),
                moving=to_sitk(laid_at_start),
                region=to_sitk(_with_margin(fixed_brain)),
                found=None,
                out=printed,
                err=printed,
            )
        matrix = np.array(greedy["found"], dtype=np.float64)
    except (RuntimeError, KeyError) as error:
        raise _not_registered(f"greedy says {str(error).splitlines()[0]}") from error
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3]) - 1.0) > 1e-2:
        raise _not_registered("the motion found is not rigid")
    return nearest_rigid(start @ matrix)


def start_of_same_session(flair_brain: Image, sequence: Image) -> Affine:
    """First guess for a sequence of the same session: the headers, where they can be right.

    Both were acquired in one scanner space, so the identity is near the truth; where the brain
    then lies outside of the sequence's field of view, the headers lost it, and the centres of
    brain and image are laid onto each other.
    """
    brain = np.argwhere(flair_brain.voxels > 0)
    world = brain @ flair_brain.affine[:3, :3].T + flair_brain.affine[:3, 3]
    inverse = np.linalg.inv(sequence.affine)
    voxel = world @ inverse[:3, :3].T + inverse[:3, 3]
    covered = ((voxel >= -0.5) & (voxel <= np.array(sequence.shape) - 0.5)).all(axis=1).mean()
    start = np.eye(4)
    if covered < _COVERED:
        middle = (np.array(sequence.shape) - 1) / 2
        centre = sequence.affine[:3, :3] @ middle + sequence.affine[:3, 3]
        start[:3, 3] = centre - world.mean(axis=0)
    return start


def start_of_other_session(fixed_brain: Image, moving_brain: Image) -> Affine:
    """First guess between sessions: the shift that lays one brain's centre onto the other's."""
    start = np.eye(4)
    start[:3, 3] = centre_of_mass(moving_brain) - centre_of_mass(fixed_brain)
    return start


def to_sitk(image: Image) -> sitk.Image:
    """The same image in ITK's convention: axes reversed, world coordinates LPS, float32."""
    converted = sitk.GetImageFromArray(
        np.ascontiguousarray(image.voxels.astype(np.float32).transpose(2, 1, 0))
    )
    affine = _LPS_FROM_RAS @ image.affine
    spacing = np.array(image.voxel_sizes_mm)
    converted.SetSpacing([float(edge) for edge in spacing])
    converted.SetOrigin([float(value) for value in affine[:3, 3]])
    converted.SetDirection([float(value) for value in (affine[:3, :3] / spacing).ravel()])
    return converted


def _with_margin(brain: Image) -> Image:
    outside = brain.voxels == 0
    distance = ndimage.distance_transform_edt(outside, sampling=brain.voxel_sizes_mm)
    return brain.with_voxels((distance <= _BRAIN_MARGIN_MM).astype(np.uint8))


def centre_of_mass(mask: Image) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Mean place of a mask's voxels, RAS+ mm."""
    centre = np.argwhere(mask.voxels > 0).mean(axis=0)
    return np.asarray(mask.affine[:3, :3] @ centre + mask.affine[:3, 3], dtype=np.float64)


def _not_registered(what: str) -> ScanError:
    return ScanError(
        f"the images could not be registered: {what}",
        where="registration",
        remedy="Look at both images: do they show the same head?",
    )
