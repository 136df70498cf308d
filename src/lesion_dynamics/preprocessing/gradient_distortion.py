"""Gradient non-linearity: where a scanner's gradients put a point that lay elsewhere.

The gradients of a scanner are not linear, and the vendor describes them by spherical harmonics
(Janke et al. 2004, doi 10.1002/mrm.20183; Jovicich et al. 2006,
doi 10.1016/j.neuroimage.2005.09.046). gradunwarp (Human Connectome Project) reads the file and
evaluates the harmonics; its own resampling is left out, because it would be a second one, and
because it writes into the working directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lesion_dynamics.cohort.cohort import Cohort
from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.transform import Warp

_NODE_MM = 6.0
"""Distance of the field's nodes. Linear interpolation between them is then wrong by about
0.01 mm in a head: the displacement of a whole-body scanner bends by 0.003 mm per mm2."""

_MARGIN_MM = 24.0  # the displaced image may reach beyond its own field of view
_LAI_FROM_RAS = np.array([-1.0, 1.0, -1.0])
"""The vendor's axes against those of NIfTI, as gradunwarp has them."""


def gradient_warp(image: Image, coefficients: Path) -> Warp:
    """From where a point truly lay to where it lies in ``image``; world of ``image``.

    The world must be the scanner's: origin at the isocentre, as a converter writes it, not
    moved by a registration.

    Parameters
    ----------
    coefficients : a Siemens ``.grad`` file.

    Raises
    ------
    ConfigurationError : gradunwarp is not installed, or the file is no such file.
    """
    harmonics, read = _gradunwarp(coefficients)
    corners = np.indices((2, 2, 2)).reshape(3, -1) * (np.array(image.shape)[:, None] - 1)
    world = image.affine[:3, :3] @ corners + image.affine[:3, 3:]
    first = world.min(axis=1) - _MARGIN_MM
    counts = np.ceil((world.max(axis=1) + _MARGIN_MM - first) / _NODE_MM).astype(int) + 1
    nodes = np.indices(tuple(counts)).reshape(3, -1) * _NODE_MM + first[:, None]
    lai = nodes * _LAI_FROM_RAS[:, None]
    displaced, _ = harmonics.eval_spherical_harmonics(read, "siemens", harmonics.CV(*lai))
    displacement = np.stack(list(displaced)) * _LAI_FROM_RAS[:, None]
    affine = np.diag([_NODE_MM, _NODE_MM, _NODE_MM, 1.0])
    affine[:3, 3] = first
    return Warp(
        displacement_mm=displacement.T.reshape(*counts, 3).astype(np.float32), affine=affine
    )


def require_usable_coefficients(cohort: Cohort) -> None:
    """Read every coefficient file of a cohort, to refuse it before anything is done.

    Raises
    ------
    ConfigurationError : as :func:`gradient_warp`.
    """
    for path in sorted({s.gradient_coefficients for s in cohort.scans} - {None}, key=str):
        if path is not None:
            require_coefficients(path)


def require_coefficients(coefficients: Path) -> None:
    """The same for one file."""
    _gradunwarp(coefficients)


def _gradunwarp(coefficients: Path) -> tuple[Any, Any]:
    """The module of harmonics of gradunwarp, and what it reads from the file."""
    try:
        from gradunwarp.core import coeffs, unwarp_resample
    except ImportError:
        raise ConfigurationError(
            "a coefficient file needs the package gradunwarp, which is not installed",
            where="cohort.distortion.gradient_coefficients",
            remedy="Install it: pip install 'lesion-dynamics[gradunwarp]'.",
        ) from None
    if coefficients.suffix != ".grad":
        # gradunwarp 1.2.3 mixes up the axes of .coef files and has no radius for GE's.
        raise _unreadable(coefficients, "only Siemens .grad files can be read")
    try:
        read = coeffs.get_siemens_grad(str(coefficients))
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(coefficients, f"it cannot be read ({error})") from None
    except (UnboundLocalError, IndexError, ValueError):
        raise _unreadable(coefficients, "it holds no radius R0 or no valid coefficient") from None
    terms = np.concatenate([np.ravel(part) for part in read[:-1]])
    if not terms.any() or not read.R0_m > 0:
        raise _unreadable(coefficients, "it holds no coefficient")
    return unwarp_resample, read


def _unreadable(coefficients: Path, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"this is no usable file of gradient coefficients: {what}",
        where=coefficients,
        remedy="Ask the scanner's physicist for the vendor's .grad file, or unset "
        "cohort.distortion.gradient_coefficients.",
    )
