"""Synthetic scans as a source of training patches, alone or beside labelled scans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.segmenter.patches import PatchSource
from lesion_dynamics.settings.preprocessing import IntensitySettings
from lesion_dynamics.synthesis.fields import Draws
from lesion_dynamics.synthesis.head_store import StoredHead, load_head
from lesion_dynamics.synthesis.limits import SEQUENCES
from lesion_dynamics.synthesis.patch_drawing import draw_patch

_OPEN_HEADS = 16  # memory-mapped at a time in each process


class SyntheticScans:
    """Patches of stored heads, each with contrasts, artefacts and noise of its own.

    heads : files of :mod:`lesion_dynamics.synthesis.head_store`.
    size_of : edge in voxels of a patch by its number.
    intensity : the normalisation of the segmenter that is trained.
    """

    def __init__(
        self,
        heads: Sequence[Path],
        *,
        sequences: Sequence[str],
        size_of: Callable[[int], int],
        lesion_fraction: float,
        intensity: IntensitySettings,
    ) -> None:
        self._heads = tuple(heads)
        self._channels = [SEQUENCES.index(name) for name in sequences]
        self._size_of = size_of
        self._lesion_fraction = lesion_fraction
        self._intensity = intensity

    def patch(
        self,
        number: int,
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """Channels (sequences, n, n, n) float32 in z units, reference (1, n, n, n) of 0 and 1."""
        head = _opened(self._heads[int(rng.integers(len(self._heads)))])
        draws = Draws(int(rng.integers(2**62)))
        channels, reference = draw_patch(
            head,
            draws,
            size_voxels=self._size_of(number),
            lesion_fraction=self._lesion_fraction,
            intensity=self._intensity,
        )
        return channels[self._channels].numpy(), reference.numpy()


class MixedSource:
    """Patches of two sources, the first with probability ``share``."""

    def __init__(self, first: PatchSource, second: PatchSource, *, share: float) -> None:
        self._first, self._second, self._share = first, second, share

    def patch(
        self, number: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """A patch of one of the two."""
        chosen = self._first if rng.random() < self._share else self._second
        return chosen.patch(number, rng)


@lru_cache(maxsize=_OPEN_HEADS)
def _opened(path: Path) -> StoredHead:
    return load_head(path)
