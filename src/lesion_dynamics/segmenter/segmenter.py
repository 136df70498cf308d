"""The segmenter: a prepared scan becomes a lesion probability and a lesion mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray

from lesion_dynamics.combined_version import members_of, tta_of
from lesion_dynamics.errors import ModelVersionError, ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.operating_point import lesion_mask
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.step_cache import StepCache
from lesion_dynamics.segmenter.engines.choice import engine_for
from lesion_dynamics.segmenter.engines.engine import Engine
from lesion_dynamics.segmenter.engines.torch_engine import TorchEngine
from lesion_dynamics.segmenter.network_input import network_input, on_native_grid
from lesion_dynamics.segmenter.networks import LesionNetwork, build_network
from lesion_dynamics.segmenter.precision import choose_precision
from lesion_dynamics.segmenter.sliding_window import lesion_probability
from lesion_dynamics.segmenter.weights_file import WeightsDoNotFitError, read_weights
from lesion_dynamics.settings.engine import EngineName, TestTimeAugmentation
from lesion_dynamics.settings.operating_point import OperatingPoint
from lesion_dynamics.settings.segmenter import SegmenterSettings

_RIGHT_LEFT_AXIS = 1  # of (sequences, x, y, z)


class Segmenter:
    """One or several networks with one sliding window; their probabilities are averaged.

    tta : ``flips``: each network also sees the scan mirrored, and its answer is mirrored back.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        settings: SegmenterSettings,
        *,
        tta: TestTimeAugmentation = "none",
    ) -> None:
        self.settings = settings
        self.engines = tuple(engines)
        self.tta = tta

    @classmethod
    def of_network(
        cls, network: LesionNetwork, settings: SegmenterSettings, *, device: torch.device
    ) -> Segmenter:
        """A network in torch on a device, as it comes out of training."""
        precision = choose_precision(settings.precision, device)
        engine = TorchEngine(network.to(device).eval(), precision=precision, device=device)
        return cls([engine], settings)

    @classmethod
    def from_model_version(
        cls,
        version: ModelVersion,
        *,
        device: torch.device | None = None,
        engine: EngineName = "auto",
        cache: StepCache | None = None,
    ) -> Segmenter:
        """Load the weights of ``version``, or of its members.

        cache : keeps networks that were converted for another engine than torch.

        Raises
        ------
        ModelVersionError : the weights do not fit the network that the manifest describes.
        ConfigurationError : the engine cannot run this network here.
        """
        chosen = device or default_device()
        engines = [
            _engine_of(member, device=chosen, engine=engine, cache=cache)
            for member in members_of(version)
        ]
        return cls(engines, version.manifest.segmenter, tta=tta_of(version))

    @property
    def described(self) -> str:
        """What runs the networks, for the record."""
        return "; ".join(dict.fromkeys(engine.described for engine in self.engines))

    def probability(self, prepared: PreparedScan) -> Image:
        """Lesion probability on the native FLAIR grid, float32 between 0 and 1.

        Raises
        ------
        ScanError : the network's answer holds what is no number.
        """
        given = network_input(prepared, self.settings)
        answers = self._answers(given.channels, given.brain_mask)
        mean = answers[0]
        for answer in answers[1:]:
            mean = mean + answer
        np.copyto(mean, np.float32(0), where=~given.brain_mask)
        if len(answers) > 1:
            mean /= len(answers)
        if not np.isfinite(mean.sum(dtype=np.float64)):
            # No number is above a threshold: the scan would be measured, and have no lesion.
            raise ScanError(
                "the network answers what is no number (NaN)",
                where="segmenter",
                remedy="Look at this scan's intensities; if every scan fails so, its weights are "
                "damaged, or the training that made them had diverged.",
            )
        return on_native_grid(mean, given, prepared)

    def _answers(
        self, channels: NDArray[np.float32], inside: NDArray[np.bool_]
    ) -> list[NDArray[np.float32]]:
        """The probability of every network, of the scan and of its mirror image."""
        found = []
        for engine in self.engines:
            found.append(
                lesion_probability(engine, channels, window=self.settings.window, inside=inside)
            )
            if self.tta == "flips":
                mirrored = lesion_probability(
                    engine,
                    np.flip(channels, _RIGHT_LEFT_AXIS),
                    window=self.settings.window,
                    inside=np.flip(inside, _RIGHT_LEFT_AXIS - 1),
                )
                found.append(np.flip(mirrored, _RIGHT_LEFT_AXIS - 1))
        return found


def _engine_of(
    version: ModelVersion, *, device: torch.device, engine: EngineName, cache: StepCache | None
) -> Engine:
    settings = version.manifest.segmenter
    network = build_network(settings.network, input_channels=len(settings.sequences))
    try:
        read_weights(network, version.weights)
    except (WeightsDoNotFitError, safetensors.SafetensorError, OSError) as error:
        raise ModelVersionError(
            f"the weights do not fit the network {settings.network.name} of the manifest "
            f"({str(error).splitlines()[0]})",
            where=version.weights,
            remedy="Train again, or fetch this model version again from the registry.",
        ) from None
    return engine_for(
        network.to(device).eval(),
        wanted=engine,
        precision=choose_precision(settings.precision, device),
        device=device,
        input_channels=len(settings.sequences),
        key=f"{version.manifest.weights_sha256} {settings.network.model_dump_json()}",
        cache=cache,
    )


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
