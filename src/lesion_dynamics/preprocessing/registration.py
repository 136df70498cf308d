"""Rigid and affine registration by greedy.

Yushkevich et al. 2016, doi 10.1016/j.jalz.2016.06.440; the wheel picsl-greedy.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.native_output import native_output_silenced
from lesion_dynamics.preprocessing.rigid_motion import inverse, nearest_rigid
from lesion_dynamics.settings.preprocessing import RegistrationSettings

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SEED = 7  # greedy jitters its samples; its default seed is the clock
_BRAIN_MARGIN_MM = 5.0
"""Around the brain: its edge against the fluid and the skull's inside guides the metric, while
scalp, jaw and neck, which move by themselves, are out of it."""

_COVERED = 0.7
"""Share of the brain that a sequence of the same session must cover by its header, before
that header is believed as the start of the registration."""

_SMALLEST_HEAD = 0.4
"""Volume of the moving head over that of the fixed one, below which a map is a failure."""


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
    matrix = _affine_by_greedy(
        f"-dof 6 -m {settings.metric} -n {_levels(settings.iterations)}",
        fixed=fixed,
        moving=moving,
        start=start,
        masks={"-gm": with_margin(fixed_brain)},
    )
    if abs(np.linalg.det(matrix[:3, :3]) - 1.0) > 1e-2:
        raise not_registered("the motion found is not rigid")
    return nearest_rigid(start @ matrix)


def affine_registration(
    fixed: Image,
    moving: Image,
    *,
    metric: str,
    iterations: Sequence[int],
    start: Affine,
    masks: Mapping[str, Image],
) -> Affine:
    """The affine map (12 degrees of freedom) that brings ``moving`` onto ``fixed``.

    Parameters
    ----------
    metric : as greedy names it, ``NMI`` or ``NCC 2x2x2``.
    start : (4, 4) first guess of what is returned.
    masks : greedy's option (``-gm``: on the grid of `fixed`; ``-mm``: of `moving`) to the
        mask of what counts.

    Returns
    -------
    (4, 4), fixed world to moving world (RAS+ mm).

    Raises
    ------
    ScanError : greedy does not converge, or to something that is no head any more.
    """
    matrix = _affine_by_greedy(
        f"-dof 12 -m {metric} -n {_levels(iterations)}",
        fixed=fixed,
        moving=moving,
        start=start,
        masks=masks,
    )
    found = start @ matrix
    if not _SMALLEST_HEAD < np.linalg.det(found[:3, :3]) < 1 / _SMALLEST_HEAD:
        raise not_registered("the map found shrinks or swells the head beyond belief")
    return np.asarray(found, dtype=np.float64)


def _affine_by_greedy(
    options: str, *, fixed: Image, moving: Image, start: Affine, masks: Mapping[str, Image]
) -> Affine:
    found = run_greedy(
        f"-a {options} -ia-identity", ("found",),
        # Greedy takes no first guess from memory, so the moving image is laid there instead.
        fixed=fixed, moving=laid(moving, inverse(start)),
        masks={
            option: laid(mask, inverse(start)) if option == "-mm" else mask
            for option, mask in masks.items()
        },
    )["found"]  # fmt: skip
    matrix = np.array(found, dtype=np.float64)
    if not np.isfinite(matrix).all():
        raise not_registered("the map found is not finite")
    return matrix


def run_greedy(
    options: str, wanted: Sequence[str], *, fixed: Image, moving: Image, masks: Mapping[str, Image]
) -> dict[str, Any]:
    """Run greedy on images in memory; one thread and a fixed seed give the same answer again.

    wanted : names of outputs; the first is that of ``-o``, any other stands in `options`.

    Raises
    ------
    ScanError : greedy fails.
    """
    from picsl_greedy import Greedy3D

    greedy = Greedy3D()
    printed = io.StringIO()
    inputs = {"fixed": to_sitk(fixed), "moving": to_sitk(moving)}
    given = ""
    for option, mask in masks.items():
        name = f"mask{option.removeprefix('-')}"
        inputs[name] = to_sitk(mask)
        given += f"{option} {name} "
    try:
        with native_output_silenced():
            greedy.execute(
                f"-i fixed moving {options} {given}-o {wanted[0]} -seed {_SEED} -threads 1 -V 0",
                **inputs,
                **dict.fromkeys(wanted),
                out=printed,
                err=printed,
            )
        return {name: greedy[name] for name in wanted}
    except (RuntimeError, KeyError) as error:
        raise not_registered(f"greedy says {str(error).splitlines()[0]}") from error


def laid(image: Image, motion: Affine) -> Image:
    """The same voxels at another place: what lay at p lies at ``motion`` p."""
    return Image(voxels=image.voxels, affine=motion @ image.affine)


def _levels(iterations: Sequence[int]) -> str:
    """Greedy's wording; levels left out at the coarse end are not named, for it crashes there."""
    first = next(index for index, count in enumerate(iterations) if count > 0)
    return "x".join(str(count) for count in iterations[first:])


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


def with_margin(brain: Image) -> Image:
    """The brain mask and 5 mm around it."""
    outside = brain.voxels == 0
    distance = ndimage.distance_transform_edt(outside, sampling=brain.voxel_sizes_mm)
    return brain.with_voxels((distance <= _BRAIN_MARGIN_MM).astype(np.uint8))


def centre_of_mass(mask: Image) -> NDArray[np.float64]:
    """Middle of a mask, (3,) in its world."""
    centre = np.argwhere(mask.voxels > 0).mean(axis=0)
    return np.asarray(mask.affine[:3, :3] @ centre + mask.affine[:3, 3], dtype=np.float64)


def not_registered(what: str) -> ScanError:
    """The error of a registration that came to nothing."""
    return ScanError(
        f"the images could not be registered: {what}",
        where="registration",
        remedy="Look at both images: do they show the same head?",
    )
