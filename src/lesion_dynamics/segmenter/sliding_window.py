"""Lesion probability of a whole brain, in one pass or window by window."""

from __future__ import annotations

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import Tensor

from lesion_dynamics.segmenter.network_input import BACKGROUND_Z
from lesion_dynamics.segmenter.networks import LesionNetwork
from lesion_dynamics.segmenter.precision import Precision, autocast
from lesion_dynamics.settings.segmenter import WindowSettings


def lesion_probability(
    network: LesionNetwork,
    channels: NDArray[np.float32],
    *,
    window: WindowSettings,
    precision: Precision,
    device: torch.device,
) -> NDArray[np.float32]:
    """Probability of every voxel of the box, (x, y, z) float32.

    channels : (sequences, x, y, z) in z units. Windows are blended with Gaussian weights, as
    MONAI does. A box that fits into one window is computed in one pass.
    """
    shape = channels.shape[1:]
    roi = tuple(
        min(size, _next_multiple(edge, network.divisor))
        for size, edge in zip(window.size_voxels, shape, strict=True)
    )
    padding = [max(0, size - edge) for size, edge in zip(roi, shape, strict=True)]
    inputs = torch.from_numpy(np.ascontiguousarray(channels))[None].to(device)
    # torch pads the last axis first; MONAI would pad with zeros, which are no background here.
    inputs = torch.nn.functional.pad(
        inputs, [0, padding[2], 0, padding[1], 0, padding[0]], value=BACKGROUND_Z
    )

    def predict(windows: Tensor) -> Tensor:
        with autocast(device, precision):
            logits: Tensor = network(windows)
        return torch.sigmoid(logits.float())

    with torch.inference_mode():
        if tuple(inputs.shape[2:]) == roi:
            probability = predict(inputs)
        else:
            probability = sliding_window_inference(
                inputs,
                roi_size=roi,
                sw_batch_size=1,
                predictor=predict,
                overlap=window.overlap,
                mode="gaussian",
            )
    result: NDArray[np.float32] = probability[0, 0].cpu().numpy()
    return np.ascontiguousarray(result[: shape[0], : shape[1], : shape[2]])


def _next_multiple(edge: int, divisor: int) -> int:
    return -(-edge // divisor) * divisor
