"""Real patients' lesion masks as shapes: where they lie on disk, and as arrays.

Source: the open MS data (Lesjak et al. 2017, doi 10.1007/s12021-017-9348-7, CC-BY), consensus
masks of three raters in MNI space.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.errors import CohortError
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.settings.synthesis import SynthesisSettings
from lesion_dynamics.synthesis.limits import GRID

_MASKS = "cross_sectional/MNI/patient*/GOLD_STANDARD*.nii.gz"
_MILLIMETRE_GRID = 1e-3


def shape_files(settings: SynthesisSettings) -> tuple[Path, ...]:
    """The masks to take shapes from, in order; none where `shapes` is None.

    Raises
    ------
    CohortError : `shapes` names a folder without such masks; `left_out` one that is not there.
    """
    if settings.shapes is None:
        return ()
    masks = sorted(settings.shapes.glob(_MASKS))
    folders = sorted({path.parent.name for path in masks})
    unknown = sorted(set(settings.left_out) - set(folders))
    if masks and unknown:  # left out by nobody, it would be learned from
        raise CohortError(
            f"synthesis.left_out names what is not there: {', '.join(unknown)}",
            where=settings.shapes,
            remedy=f"Name folders of it: {', '.join(folders)}.",
        )
    found = tuple(path for path in masks if path.parent.name not in settings.left_out)
    if not found:
        raise CohortError(
            f"no lesion mask ({_MASKS}) to take shapes from",
            where=settings.shapes,
            remedy="Set synthesis.shapes to the open MS data, or to null to draw every shape.",
        )
    return found


@lru_cache(maxsize=1)
def load_shapes(
    files: tuple[Path, ...], origin_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """The masks on the template's grid, (n, x, y, z) uint8.

    Raises
    ------
    CohortError : a mask that does not lie on the 1 mm grid of MNI space.
    """
    shapes = np.zeros((len(files), *GRID), dtype=np.uint8)
    for row, file in enumerate(files):
        mask = read_mask(file)
        places = np.argwhere(mask.voxels > 0)
        world = places @ mask.affine[:3, :3].T + mask.affine[:3, 3]
        voxels = world - np.asarray(origin_mm)
        whole = np.rint(voxels).astype(np.int64)
        if len(voxels) and np.abs(voxels - whole).max() > _MILLIMETRE_GRID:
            raise CohortError(
                "this mask is not on the 1 mm grid of MNI space",
                where=file,
                remedy="Take it out of synthesis.shapes (synthesis.left_out names folders).",
            )
        whole = whole[((whole >= 0) & (whole < np.asarray(GRID))).all(axis=1)]
        shapes[row][tuple(whole.T)] = 1
    return shapes
