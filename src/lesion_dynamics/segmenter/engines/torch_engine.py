"""torch: any device, any network; training and validation use it too."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesion_dynamics.segmenter.networks import LesionNetwork
from lesion_dynamics.segmenter.precision import Precision
from lesion_dynamics.segmenter.tiling import Tiling

_VOXELS_AT_ONCE = 2**24
"""On a GPU, windows go through together up to this: about 3 GB of activations in bf16."""


class TorchEngine:
    """A network on a device as it is: whoever trains it keeps it.

    Windows are cut, blended and divided on the device; the box goes there once and its
    probability comes back once.
    """

    def __init__(
        self, network: LesionNetwork, *, precision: Precision, device: torch.device
    ) -> None:
        self._network = network
        self._precision: Precision = precision
        self._device = device
        # Training needs the range of bf16. An answer does not, and float16 holds it eight times
        # as exactly in the same time on a GPU; a network that leaves its range goes on in bf16.
        self._half = torch.float16 if device.type == "cuda" else torch.bfloat16

    @property
    def divisor(self) -> int:
        """Edges of windows are multiples of this."""
        return self._network.divisor

    @property
    def described(self) -> str:
        """Name, version, device and arithmetic."""
        arithmetic: str = self._precision
        if arithmetic == "bf16" and self._half is torch.float16:
            arithmetic = "float16"
        return f"torch {torch.__version__} {self._device.type} {arithmetic}"

    def probability(self, channels: NDArray[np.float32], tiling: Tiling) -> NDArray[np.float32]:
        """As `Engine.probability`."""
        inputs = torch.from_numpy(np.ascontiguousarray(channels)).to(self._device)
        with torch.inference_mode():
            answer = (
                self._of_windows(inputs[None])[0]
                if tiling.in_one_pass and tiling.starts
                else self._blended(inputs, tiling)
            )
            found: NDArray[np.float32] = answer.cpu().numpy()
        return found

    def _blended(self, inputs: Tensor, tiling: Tiling) -> Tensor:
        total = torch.zeros(tiling.shape, device=self._device)
        counted = torch.zeros(tiling.shape, device=self._device)
        weights = torch.from_numpy(tiling.weights()).to(self._device)
        boxes = tiling.boxes
        together = self._windows_at_once(weights.numel())
        for first in range(0, len(boxes), together):
            group = boxes[first : first + together]
            answers = self._of_windows(torch.stack([inputs[:, x, y, z] for x, y, z in group]))
            for box, answer in zip(group, answers, strict=True):
                total[box] += answer * weights
                counted[box] += weights
        # Where no window lies both are 0.
        return total.div_(counted.clamp_(min=torch.finfo(torch.float32).tiny))

    def _of_windows(self, windows: Tensor) -> Tensor:
        """(n, sequences, x, y, z) to probabilities, (n, x, y, z) float32."""
        halved = self._precision == "bf16"
        with torch.autocast(self._device.type, self._half, enabled=halved):
            logits: Tensor = self._network(windows)[:, 0].float()
        # A sigmoid would make 0 or 1 of what overflowed.
        if halved and self._half is torch.float16 and not bool(torch.isfinite(logits).all()):
            self._half = torch.bfloat16
            return self._of_windows(windows)
        return torch.sigmoid(logits)

    def _windows_at_once(self, voxels: int) -> int:
        return max(1, _VOXELS_AT_ONCE // voxels) if self._device.type == "cuda" else 1
