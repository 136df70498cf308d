"""Settings of the augmentation: what is done to a training patch, and how often."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from lesion_dynamics.settings.strict import Strict

Probability = Annotated[float, Field(ge=0, le=1)]
_SPLINE_KEEPS_ORDER = 0.4
"""Displacement of control points, in spacings, below which a cubic B-spline deformation of space is
one-to-one: 1 / 2.48 (Choi and Lee, CVGIP: Graphical Models 2000)."""


class AugmentationSettings(Strict):
    """Random changes of one training patch, each with its probability (0 turns it off).

    flip : left-right mirror.
    affine : rotation up to `rotation_degrees`, scaling by up to `scaling` (0.1: 0.9 to 1.1).
    elastic : smooth deformation, a cubic B-spline through control points `elastic_spacing_voxels`
        apart, each displaced by up to `elastic_displacement_voxels` along every axis.
    bias_field : polynomial field, coefficients up to `bias_field_coefficient`.
    gamma : contrast exponent exp(+-`gamma_log`), over the patch's own range.
    intensity : each sequence times 1 +- `intensity_scaling` plus +- `intensity_shift` (z units).
    noise : Gaussian, standard deviation up to `noise_std` (z units).
    blur : Gaussian, standard deviation up to `blur_std_voxels`.
    motion : the head moves twice while a sequence is scanned, each time by up to `motion_degrees`
        about and `motion_voxels` along every axis. Like ghosting for each sequence by itself.
    ghosting : copies along one axis, as pulsation and periodic motion leave; of up to
        `ghosting_strength` (1: whole planes of k-space are lost).
    thick_slices : resolution along one axis lowered by a factor of up to `slice_factor`.
    sequence_dropout : an optional sequence is left out.
    darkest_flair_is_outside : where the FLAIR is at its floor, CSF among it, every sequence is
        given its value outside the brain. Inference does not do that; the shipped baseline was
        trained so, and is made again with it.
    """

    flip: Probability
    affine: Probability
    rotation_degrees: float = Field(ge=0, le=180)
    scaling: float = Field(ge=0, le=0.5)
    elastic: Probability = 0.0
    elastic_displacement_voxels: float = Field(default=0.0, ge=0)
    elastic_spacing_voxels: float = Field(default=24.0, ge=4)
    bias_field: Probability
    bias_field_coefficient: float = Field(ge=0, le=1)
    gamma: Probability
    gamma_log: float = Field(ge=0, le=1)
    intensity: Probability
    intensity_scaling: float = Field(ge=0, le=0.9)
    intensity_shift: float = Field(ge=0)
    noise: Probability
    noise_std: float = Field(ge=0)
    blur: Probability
    blur_std_voxels: float = Field(ge=0)
    motion: Probability = 0.0
    motion_degrees: float = Field(default=4.0, ge=0, le=45)
    motion_voxels: float = Field(default=3.0, ge=0)
    ghosting: Probability = 0.0
    ghosting_strength: float = Field(default=0.5, ge=0, le=1)
    thick_slices: Probability
    slice_factor: float = Field(ge=1, le=8)
    sequence_dropout: Probability
    darkest_flair_is_outside: bool = False

    @model_validator(mode="after")
    def _deformation_never_folds(self) -> AugmentationSettings:
        most = _SPLINE_KEEPS_ORDER * self.elastic_spacing_voxels
        if self.elastic_displacement_voxels > most:
            raise ValueError(
                f"elastic_displacement_voxels={self.elastic_displacement_voxels:g} can fold tissue "
                f"over itself: at most {most:g} with elastic_spacing_voxels="
                f"{self.elastic_spacing_voxels:g}"
            )
        return self
