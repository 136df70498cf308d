"""Training patches: which one, cut where, changed how. All decided by the seed and a number.

Patch number n of a training is the same whatever process makes it and whenever: a run that is
interrupted and goes on sees the patches it would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lesion_dynamics.segmenter.augmentation import PatchAugmentation
from lesion_dynamics.segmenter.network_input import outside_z
from lesion_dynamics.segmenter.training_scans import TrainingScan
from lesion_dynamics.settings.training import PatchSettings


class PatchSource(Protocol):
    """Where patches come from: labelled scans, or a synthesis of them."""

    def patch(
        self, number: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """Patch number ``number``, every draw from ``rng``: channels (sequences, n, n, n) in z
        units, reference (1, n, n, n) of 0 and 1; of any number type.
        """
        ...


class PatchDataset(Dataset[dict[str, Tensor]]):
    """Patch number -> {"channels": (sequences, x, y, z), "reference": (1, x, y, z)}, float32."""

    def __init__(self, source: PatchSource, *, augmentation: PatchAugmentation, seed: int) -> None:
        self._source = source
        self._augmentation = augmentation
        self._seed = seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, number])
        channels, reference = self._source.patch(number, rng)
        generator = torch.Generator().manual_seed(int(rng.integers(2**63 - 1)))
        augmented, mask = self._augmentation(
            torch.from_numpy(channels.astype(np.float32)),
            torch.from_numpy(reference.astype(np.float32)),
            generator=generator,
        )
        return {"channels": augmented, "reference": mask}


class LabelledScans:
    """Patches of prepared, labelled scans.

    Scans are taken in turn in a fresh random order, so each is seen equally often; a patch is
    centred on a lesion with `lesion_fraction`, on a look-alike with `lookalike_fraction`, else
    anywhere in the brain. Scans without lesions are normal: their lesion patches come from
    anywhere in the brain.

    size_of : edge in voxels of a patch by its number; None is the patch settings' size for all.
    """

    def __init__(
        self,
        scans: Sequence[TrainingScan],
        *,
        patch: PatchSettings,
        seed: int,
        size_of: Callable[[int], int] | None = None,
    ) -> None:
        self._scans = tuple(scans)
        self._patch = patch
        self._size_of = size_of
        self._seed = seed

    def patch(
        self, number: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """See `PatchSource`."""
        scan = self._scans[self.scan_index(number)]
        size = self._patch.size_voxels if self._size_of is None else self._size_of(number)
        centre = self._centre(scan, rng, size)
        whole = scan.array("channels")
        channels = cut(whole, centre, size, outside_z(whole))
        reference = cut(scan.array("reference")[None], centre, size, np.zeros(1))
        return channels, reference

    def scan_index(self, number: int) -> int:
        """Which scan patch ``number`` is cut from."""
        turn, place = divmod(number, len(self._scans))
        return int(
            np.random.default_rng([self._seed, turn, 1]).permutation(len(self._scans))[place]
        )

    def _centre(self, scan: TrainingScan, rng: np.random.Generator, size: int) -> NDArray[np.int64]:
        voxel = self._wanted_voxel(scan, rng)
        if voxel is None:
            anywhere = scan.array("brain_voxels")
            voxel = anywhere[int(rng.integers(len(anywhere)))]
        # Off-centre, so that the network cannot learn that lesions lie in the middle.
        quarter = size // 4
        return np.asarray(voxel, dtype=np.int64) + rng.integers(-quarter, quarter + 1, size=3)

    def _wanted_voxel(
        self, scan: TrainingScan, rng: np.random.Generator
    ) -> NDArray[np.generic] | None:
        """A lesion voxel, a look-alike voxel, or None: anywhere in the brain."""
        draw, patch = rng.random(), self._patch
        if draw < patch.lesion_fraction:
            voxels = scan.array("lesion_voxels")
            return voxels[self._lesion_place(scan, rng)] if len(voxels) else None
        if draw < patch.lesion_fraction + patch.lookalike_fraction:
            voxels = scan.array("lookalike_voxels")
            return voxels[int(rng.integers(len(voxels)))] if len(voxels) else None
        return None

    def _lesion_place(self, scan: TrainingScan, rng: np.random.Generator) -> int:
        """Row of ``lesion_voxels``, which stand lesion by lesion."""
        sizes = np.asarray(scan.array("lesion_sizes"), dtype=np.float64)
        weights = np.cumsum(sizes**self._patch.lesion_size_power)
        lesion = int(np.searchsorted(weights, rng.random() * weights[-1], side="right"))
        first = int(sizes[:lesion].sum())
        return first + int(rng.integers(int(sizes[lesion])))


def cut(
    array: NDArray[np.generic], centre: NDArray[np.int64], size: int, outside: NDArray[np.generic]
) -> NDArray[np.generic]:
    """The cube of edge ``size`` around ``centre`` from (channels, x, y, z), padded.

    outside : (channels,) what lies beyond the grid.
    """
    patch = np.empty((array.shape[0], size, size, size), dtype=array.dtype)
    patch[:] = outside[:, None, None, None]
    source, target = [slice(None)], [slice(None)]
    for axis in range(3):
        start = int(centre[axis]) - size // 2
        low, high = max(start, 0), min(start + size, array.shape[axis + 1])
        if low >= high:
            return patch
        source.append(slice(low, high))
        target.append(slice(low - start, high - start))
    patch[tuple(target)] = array[tuple(source)]
    return patch
