"""Rigid registration by greedy (normalised mutual information).

Yushkevich et al. 2016, doi 10.1016/j.jalz.2016.06.440; the wheel picsl-greedy.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import SimpleITK as sitk

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.settings.preprocessing import RegistrationSettings

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SEED = 7  # greedy jitters its samples


def rigid_registration(fixed: Image, moving: Image, *, settings: RegistrationSettings) -> Affine:
    """The rigid motion that brings ``moving`` onto ``fixed``.

    Starts from the images' common centre. One thread, a fixed seed: the same images give the
    same matrix.

    Returns
    -------
    (4, 4), fixed world to moving world (RAS+ mm): where a point of ``fixed`` lies in ``moving``.

    Raises
    ------
    ScanError : greedy does not converge to a rigid motion.
    """
    from picsl_greedy import Greedy3D

    greedy = Greedy3D()
    printed = io.StringIO()
    levels = "x".join(str(count) for count in settings.iterations)
    try:
        with _optimiser_silenced():
            greedy.execute(
                f"-i fixed moving -a -dof 6 -m NMI -n {levels} -ia-image-centers -o found "
                f"-seed {_SEED} -threads 1 -V 0",
                fixed=_to_sitk(fixed),
                moving=_to_sitk(moving),
                found=None,
                out=printed,
                err=printed,
            )
        matrix = np.array(greedy["found"], dtype=np.float64)
    except (RuntimeError, KeyError) as error:
        raise _not_registered(str(error).splitlines()[0]) from error
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3]) - 1.0) > 1e-2:
        raise _not_registered("the motion found is not rigid")
    return matrix


@contextmanager
def _optimiser_silenced() -> Iterator[None]:
    """Keep the optimiser's own remarks, printed from C, off the terminal.

    It says "line search failed" whenever it stops at the precision of float32, which is the rule.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        for number, descriptor in zip((1, 2), kept, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(nowhere)


def _not_registered(what: str) -> ScanError:
    return ScanError(
        f"the images could not be registered: {what}",
        where="registration",
        remedy="Look at both images: do they show the same head?",
    )


def _to_sitk(image: Image) -> sitk.Image:
    """The same image in ITK's convention: axes reversed, world coordinates LPS."""
    converted = sitk.GetImageFromArray(
        np.ascontiguousarray(image.voxels.astype(np.float32).transpose(2, 1, 0))
    )
    affine = _LPS_FROM_RAS @ image.affine
    spacing = np.array(image.voxel_sizes_mm)
    converted.SetSpacing([float(edge) for edge in spacing])
    converted.SetOrigin([float(value) for value in affine[:3, 3]])
    converted.SetDirection([float(value) for value in (affine[:3, :3] / spacing).ravel()])
    return converted
