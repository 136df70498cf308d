"""The segmenter: a prepared scan becomes a lesion probability and a lesion mask."""

from __future__ import annotations

import numpy as np
import safetensors.torch
import torch

from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.operating_point import lesion_mask
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.segmenter.network_input import network_input, on_native_grid
from lesion_dynamics.segmenter.networks import LesionNetwork, build_network
from lesion_dynamics.segmenter.precision import choose_precision
from lesion_dynamics.segmenter.sliding_window import lesion_probability
from lesion_dynamics.settings.operating_point import OperatingPoint
from lesion_dynamics.settings.segmenter import SegmenterSettings


class Segmenter:
    """Network, sliding window and operating point of one model version on one device."""

    def __init__(
        self,
        network: LesionNetwork,
        settings: SegmenterSettings,
        *,
        device: torch.device,
    ) -> None:
        self.settings = settings
        self.device = device
        self.precision = choose_precision(settings.precision, device)
        self.network = network.to(device).eval()

    @classmethod
    def from_model_version(
        cls, version: ModelVersion, *, device: torch.device | None = None
    ) -> Segmenter:
        """Load the weights of ``version``.

        Raises
        ------
        ModelVersionError : the weights do not fit the network that the manifest describes.
        """
        settings = version.manifest.segmenter
        network = build_network(settings.network, input_channels=len(settings.sequences))
        try:
            safetensors.torch.load_model(network, version.weights, strict=True)
        except (RuntimeError, safetensors.SafetensorError, OSError) as error:
            raise ModelVersionError(
                f"the weights do not fit the network {settings.network.name} of the manifest "
                f"({str(error).splitlines()[0]})",
                where=version.weights,
                remedy="Train again, or fetch this model version again from the registry.",
            ) from None
        return cls(network, settings, device=device or default_device())

    def probability(self, prepared: PreparedScan) -> Image:
        """Lesion probability on the native FLAIR grid, float32 between 0 and 1."""
        given = network_input(prepared, self.settings)
        probability = lesion_probability(
            self.network,
            given.channels,
            window=self.settings.window,
            precision=self.precision,
            device=self.device,
        )
        return on_native_grid(probability * given.brain_mask, given, prepared)


def mask_at(probability: Image, operating_point: OperatingPoint) -> Image:
    """The lesion mask of a probability on its native grid, uint8."""
    voxels = lesion_mask(
        probability.voxels,
        voxel_volume_mm3=probability.voxel_volume_mm3,
        operating_point=operating_point,
    )
    return probability.with_voxels(np.asarray(voxels, dtype=np.uint8))


def default_device() -> torch.device:
    """The first GPU where there is one, else the processor."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
