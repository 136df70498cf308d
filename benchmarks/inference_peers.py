"""What a user would run instead; executed by bench_inference.py in processes of their own.

nnU-Net's predictor runs in a virtual environment of its own, so nothing of this package is
imported here: python benchmarks/inference_peers.py nnunet FLAIR.npy ...
"""

from __future__ import annotations

import json
import resource
import sys
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

WINDOW = 96
OVERLAP = 0.5
FEATURES = (16, 32, 64, 128)


def plain_conv_unet() -> torch.nn.Module:
    """nnU-Net's own network with 1.4 million parameters at full resolution."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    network: torch.nn.Module = PlainConvUNet(
        input_channels=2,
        n_stages=4,
        features_per_stage=FEATURES,
        conv_op=torch.nn.Conv3d,
        kernel_sizes=[[3] * 3] * 4,
        strides=[[1] * 3] + [[2] * 3] * 3,
        n_conv_per_stage=[2] * 4,
        n_conv_per_stage_decoder=[2] * 3,
        num_classes=2,
        conv_bias=True,
        norm_op=torch.nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )
    return network.eval()


def nnunet(volume: torch.Tensor) -> dict[str, Any]:
    """nnU-Net's predictor without mirroring; seconds of the sliding window alone."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    network = plain_conv_unet()
    predictor = nnUNetPredictor(
        tile_step_size=1 - OVERLAP,
        use_gaussian=True,
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.network = network
    predictor.list_of_parameters = [network.state_dict()]
    predictor.configuration_manager = SimpleNamespace(patch_size=[WINDOW] * 3)
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=2)
    predictor.allowed_mirroring_axes = None
    start = time.perf_counter()
    with torch.inference_mode():
        predictor.predict_sliding_window_return_logits(volume)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "parameters": sum(p.numel() for p in network.parameters())}


def monai(volume: torch.Tensor) -> dict[str, Any]:
    """MONAI's sliding window in float32 over the whole volume, with MONAI's DynUNet."""
    from monai.inferers import sliding_window_inference
    from monai.networks.nets import DynUNet

    network = DynUNet(
        spatial_dims=3,
        in_channels=2,
        out_channels=2,
        kernel_size=[3] * 4,
        strides=[1, 2, 2, 2],
        upsample_kernel_size=[2, 2, 2],
        filters=FEATURES,
    ).eval()
    start = time.perf_counter()
    with torch.inference_mode():
        sliding_window_inference(
            volume[None], [WINDOW] * 3, sw_batch_size=1, predictor=network,
            overlap=OVERLAP, mode="gaussian",
        )  # fmt: skip
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "parameters": sum(p.numel() for p in network.parameters())}


def peak() -> dict[str, Any]:
    """Measured peak of the processor: a large product of matrices, operations a second."""
    found = {}
    for name, kind in (("bf16", torch.bfloat16), ("float32", torch.float32)):
        size = 4096
        one = torch.randn(size, size).to(kind)
        one @ one
        start = time.perf_counter()
        for _ in range(3):
            one @ one
        found[name] = 3 * 2 * size**3 / (time.perf_counter() - start)
    return found


def main() -> None:
    """PEER VOLUME.npy THREADS: one line of JSON."""
    name, volume, threads = sys.argv[1:4]
    torch.set_num_threads(int(threads))
    if name == "peak":
        result = peak()
    else:
        given = torch.from_numpy(np.load(volume))
        result = {"nnunet": nnunet, "monai": monai}[name](given)
    result["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
