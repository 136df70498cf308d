"""Reference masks that upstream has in another form, made into one binary mask."""

from __future__ import annotations

from functools import reduce

import numpy as np

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_labels
from lesion_dynamics.importers.imported_cohort import ConvertedMask


def converted(mask: ConvertedMask) -> Image:
    """One uint8 mask of 0 and 1.

    Each source: a voxel is lesion if it has one of ``labels`` (any positive value if None).
    Several sources: ``union``, lesion in any; ``intersection``, lesion in all.

    Raises
    ------
    ScanError : a source that cannot be read, is no label map, or lies on another grid.
    """
    images = [read_labels(path) for path in mask.sources]
    first = images[0]
    for path, image in zip(mask.sources[1:], images[1:], strict=True):
        if not image.on_same_grid_as(first):
            raise ScanError(
                f"this mask is not on the grid of {mask.sources[0].name}",
                where=path,
                remedy="Restore upstream's files.",
            )
    lesion = [
        image.voxels > 0 if mask.labels is None else np.isin(image.voxels, mask.labels)
        for image in images
    ]
    combine = np.logical_or if mask.combination == "union" else np.logical_and
    return first.with_voxels(reduce(combine, lesion).astype(np.uint8))
