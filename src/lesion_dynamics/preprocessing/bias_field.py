"""N4 bias field correction inside the brain (SimpleITK)."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.settings.preprocessing import BiasFieldSettings


def without_bias_field(image: Image, brain: Image, *, settings: BiasFieldSettings) -> Image:
    """Divide ``image`` by the multiplicative field that N4 finds inside ``brain``.

    The field is estimated on a shrunken grid and evaluated on the full one. Its mean inside the
    brain is one, so the level of the intensities stays.

    image, brain : on the same grid. Returns float32; zero and negative voxels stay as they are.
    """
    if not settings.enabled:
        return image
    full = sitk.GetImageFromArray(np.ascontiguousarray(image.voxels, dtype=np.float32))
    mask = sitk.GetImageFromArray(
        np.ascontiguousarray((brain.voxels > 0) & (image.voxels > 0), dtype=np.uint8)
    )
    # Array axes run the other way round in SimpleITK; spacing follows them.
    spacing = image.voxel_sizes_mm[::-1]
    full.SetSpacing(spacing)
    mask.SetSpacing(spacing)
    factors = [max(1, round(settings.shrink_mm / edge)) for edge in spacing]
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetNumberOfThreads(1)
    corrector.SetMaximumNumberOfIterations(list(settings.iterations))
    corrector.Execute(sitk.Shrink(full, factors), sitk.Shrink(mask, factors))
    log_field = sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(full)).astype(np.float64)
    inside = brain.voxels > 0
    log_field -= log_field[inside].mean()
    return image.with_voxels((image.voxels / np.exp(log_field)).astype(np.float32))
