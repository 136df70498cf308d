"""Which engine runs a network: by what was asked for, the device and what is installed.

Nothing heavy is imported here before an engine is made.
"""

from __future__ import annotations

import importlib.util
import logging
import platform
from typing import TYPE_CHECKING

from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.preprocessing.step_cache import StepCache
from lesion_dynamics.segmenter.engines.engine import Engine
from lesion_dynamics.settings.engine import EngineName

if TYPE_CHECKING:
    import torch

    from lesion_dynamics.segmenter.engines.openvino_model import OpenVinoModel
    from lesion_dynamics.segmenter.networks import LesionNetwork
    from lesion_dynamics.segmenter.precision import Precision

_LOG = logging.getLogger(__name__)
_CONVERTED = "openvino_model"
"""What converted networks are called in the cache."""


def require_engine(wanted: EngineName) -> None:
    """Raise `ConfigurationError` now if the engine that was asked for is not installed."""
    if wanted == "openvino" and not _openvino_installed():
        raise ConfigurationError(
            "OpenVINO is not installed",
            where="engine=openvino",
            remedy="Install it (pip install openvino), or let engine=auto choose.",
        )


def engine_for(
    network: LesionNetwork,
    *,
    wanted: EngineName,
    precision: Precision,
    device: torch.device,
    input_channels: int,
    key: str | None = None,
    cache: StepCache | None = None,
) -> Engine:
    """The engine that runs ``network``.

    ``auto`` is torch on a GPU; on an x86 processor OpenVINO, which was faster there in float32
    and in bf16, unless it is not installed or cannot hold the network; elsewhere torch.

    key : hash of the network and its weights, under which its conversion is kept in ``cache``.

    Raises
    ------
    ConfigurationError : ``openvino`` was asked for and cannot run this network here.
    """
    from lesion_dynamics.segmenter.engines.torch_engine import TorchEngine

    if wanted == "openvino" and device.type != "cpu":
        raise ConfigurationError(
            f"OpenVINO runs on processors, and this is a {device.type} device",
            where="engine=openvino",
            remedy="Use engine=auto, or hide the device (CUDA_VISIBLE_DEVICES=).",
        )
    require_engine(wanted)
    if wanted == "openvino" or (wanted == "auto" and _openvino_pays(device)):
        import torch

        from lesion_dynamics.segmenter.engines.openvino_engine import OpenVinoEngine
        from lesion_dynamics.segmenter.engines.openvino_model import ConversionError

        try:
            model = _model_of(network, input_channels, precision, key, cache)
            return OpenVinoEngine(model, precision=precision, threads=torch.get_num_threads())
        except ConversionError as error:
            if wanted == "openvino":
                raise ConfigurationError(
                    f"OpenVINO cannot run this network ({error})",
                    where="engine=openvino",
                    remedy="Use engine=torch, or let engine=auto choose.",
                ) from None
            _LOG.info("torch runs this network; OpenVINO cannot: %s", error)
    return TorchEngine(network, precision=precision, device=device)


def _openvino_pays(device: torch.device) -> bool:
    if device.type != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    if _openvino_installed():
        return True
    _LOG.info("OpenVINO is not installed: torch runs the network, three to five times slower")
    return False


def _openvino_installed() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _model_of(
    network: LesionNetwork,
    input_channels: int,
    precision: Precision,
    key: str | None,
    cache: StepCache | None,
) -> OpenVinoModel:
    import numpy as np
    import openvino

    from lesion_dynamics.preprocessing.step_cache import key_of
    from lesion_dynamics.segmenter.engines.openvino_model import OpenVinoModel, converted

    if key is None or cache is None:
        return converted(network, input_channels=input_channels, precision=precision)

    def arrays() -> dict[str, np.ndarray]:
        made = converted(network, input_channels=input_channels, precision=precision)
        return {
            "graph": np.frombuffer(made.graph, dtype=np.uint8),
            "weights": made.weights,
            "split": np.array(made.split),
        }

    source = ("segmenter/engines", "segmenter/networks")
    own = key_of(source, network=key, precision=precision, openvino=openvino.__version__)
    found = cache.arrays(_CONVERTED, own, arrays)
    return OpenVinoModel(
        graph=found["graph"].tobytes(),
        weights=found["weights"],
        divisor=network.divisor,
        split=bool(found["split"]),
    )
