"""A scan that is ready for the network, with the transforms that lead home."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.resampling import Interpolation
from lesion_dynamics.preprocessing.rigid_motion import inverse
from lesion_dynamics.preprocessing.transform import Step, Warp, resample_through


@dataclass(frozen=True, slots=True)
class PreparedSequence:
    """One sequence on its own native grid, bias field out.

    to_flair : (4, 4), this sequence's world (RAS+ mm) to the FLAIR's world.
    log_bias_field : logarithm of the field that was divided out, on a coarse grid in this
        sequence's world; None where nothing was.
    gradient_warp : from where a point truly lay in the scanner to where the gradients put it
        in the image, both in this sequence's world; None where nothing is corrected. All
        other transforms are between true places.
    """

    image: Image
    to_flair: Affine
    log_bias_field: Image | None = None
    gradient_warp: Warp | None = None

    @property
    def steps_from_true(self) -> tuple[Step, ...]:
        """True places to places in the image."""
        return () if self.gradient_warp is None else (self.gradient_warp,)

    @property
    def steps_to_true(self) -> tuple[Step, ...]:
        """Places in the image to true places."""
        return () if self.gradient_warp is None else (self.gradient_warp.inverse(),)

    def undistorted(self) -> Image:
        """The image on its own grid with everything at its true place.

        Only registrations look at it; what the network sees is sampled from `image`, once.
        """
        return self.at_true_places(self.image, interpolation="cubic")

    def at_true_places(self, image: Image, *, interpolation: Interpolation) -> Image:
        """An image on this sequence's grid, undistorted; itself where nothing is corrected."""
        if self.gradient_warp is None:
            return image
        return resample_through(
            image,
            shape=image.shape,
            affine=image.affine,
            steps=self.steps_from_true,
            interpolation=interpolation,
        )


@dataclass(frozen=True, slots=True)
class Drift:
    """How one session's geometry differs from the mean of its participant's sessions.

    stretch : (3, 3) symmetric, the logarithm of the linear map from the mean geometry to this
        session's, along the participant space's axes R, A, S. Zero: the same scale.
    corrected : whether `to_participant` takes it out again.
    """

    stretch: NDArray[np.float64]
    corrected: bool

    @property
    def scale_percent(self) -> tuple[float, float, float]:
        """How much larger the head appears along R, A and S."""
        x, y, z = 100.0 * np.expm1(np.diag(self.stretch))
        return float(x), float(y), float(z)

    @property
    def shear_percent(self) -> tuple[float, float, float]:
        """Shear in the planes R-A, R-S and A-S, as change of an angle times 100."""
        xy, xz, yz = 200.0 * self.stretch[[0, 0, 1], [1, 2, 2]]
        return float(xy), float(xz), float(yz)


@dataclass(frozen=True, slots=True)
class PreparedScan:
    """All sequences of one scan; nothing is resampled yet.

    sequences : by name; FLAIR always is there, with the identity as `to_flair`.
    brain_mask : uint8 on the native FLAIR grid.
    to_participant : (4, 4), the FLAIR's world to the participant's space (RAS+ mm). Rigid,
        unless a drift is corrected.
    drift : residual scale and shear against the participant's other sessions; None where
        there is no other, or where sessions are not aligned.
    alignment_inconsistency_mm : how far registering this session's FLAIR to another's and back
        misses the start (root mean square in the head); the median over the other sessions. NaN
        where sessions were not registered.
    """

    sequences: Mapping[str, PreparedSequence]
    brain_mask: Image
    to_participant: Affine
    drift: Drift | None = None
    alignment_inconsistency_mm: float = math.nan

    @property
    def flair(self) -> PreparedSequence:
        """The sequence that defines the native grid."""
        return self.sequences["FLAIR"]

    def steps_to_image(self, name: str) -> tuple[Step, ...]:
        """Participant space to the world of a sequence's image."""
        sequence = self.sequences[name]
        from_participant = inverse(sequence.to_flair) @ inverse(self.to_participant)
        return (from_participant, *sequence.steps_from_true)

    @property
    def steps_to_participant(self) -> tuple[Step, ...]:
        """World of the native FLAIR grid to participant space."""
        return (*self.flair.steps_to_true, self.to_participant)

    def volume_scale(self) -> NDArray[np.float64] | float:
        """True volume over volume on the native FLAIR grid: a number, or one a voxel.

        1 where no distortion is corrected: a rigid motion keeps volumes.
        """
        scale = 1.0
        if self.drift is not None and self.drift.corrected:
            scale = float(np.linalg.det(self.to_participant[:3, :3]))
        if self.flair.gradient_warp is None:
            return scale
        affine, shape = self.brain_mask.affine, self.brain_mask.shape
        world = affine[:3, :3] @ np.indices(shape).reshape(3, -1) + affine[:3, 3:]
        return scale * self.flair.gradient_warp.inverse().jacobian(world).reshape(shape)
