"""The one interface behind which networks run."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.segmenter.tiling import Tiling


class Engine(Protocol):
    """A network, ready to run."""

    @property
    def divisor(self) -> int:
        """Edges of windows are multiples of this."""

    @property
    def described(self) -> str:
        """Name, version and arithmetic, for the record: ``openvino 2026.4.1 bf16``."""

    def probability(self, channels: NDArray[np.float32], tiling: Tiling) -> NDArray[np.float32]:
        """Lesion probability of a box, (x, y, z) float32; 0 where no window lies.

        channels : (sequences, x, y, z) in z units, of the tiling's shape.
        """
