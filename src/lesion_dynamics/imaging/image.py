"""An image: voxels and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import Affine, same_grid, voxel_sizes_mm, voxel_volume_mm3


@dataclass(frozen=True, slots=True)
class Image:
    """Voxels on a grid.

    Parameters
    ----------
    voxels : (x, y, z) array; float32 intensities, or uint8 for a mask.
    affine : (4, 4) float64, voxel indices to RAS+ millimetres.
    """

    voxels: NDArray[Any]
    affine: Affine

    def __post_init__(self) -> None:
        if self.voxels.ndim != 3:
            raise ValueError(f"an Image has three dimensions, not {self.voxels.ndim}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        return (self.voxels.shape[0], self.voxels.shape[1], self.voxels.shape[2])

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm3."""
        return voxel_volume_mm3(self.affine)

    @property
    def voxel_sizes_mm(self) -> tuple[float, float, float]:
        """Voxel edges in mm."""
        return voxel_sizes_mm(self.affine)

    def on_same_grid_as(self, other: Image) -> bool:
        """Whether both hold the same voxels at the same places."""
        return same_grid(self.shape, self.affine, other.shape, other.affine)

    def with_voxels(self, voxels: NDArray[Any]) -> Image:
        """Other voxels on the same grid.

        Raises
        ------
        ValueError : the shapes differ.
        """
        if voxels.shape != self.voxels.shape:
            raise ValueError(f"shape {voxels.shape} does not fit the grid {self.voxels.shape}")
        return Image(voxels=voxels, affine=np.array(self.affine, dtype=np.float64))
