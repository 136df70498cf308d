"""The same on a GPU. Skipped without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import composed
from tests.segmenter.small_training import settings, trained
from tests.segmenter.test_networks import SMALL
from tests.segmenter.training_scan_files import write_scan

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.model_version import load_manifest
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.records.shipped import SHIPPED_FOLDER
from lesion_dynamics.segmenter.datamodule import LesionDataModule
from lesion_dynamics.segmenter.engines.torch_engine import TorchEngine
from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.segmenter.network_input import network_input
from lesion_dynamics.segmenter.networks import build_network
from lesion_dynamics.segmenter.precision import Precision, choose_precision
from lesion_dynamics.segmenter.sliding_window import lesion_probability
from lesion_dynamics.segmenter.weights_file import read_weights
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.segmenter import WindowSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainSettings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


DEVICE = "cuda"


def of_network(name: str, *overrides: str) -> TrainSettings:
    return validated(
        TrainSettings, composed("train", f"segmenter={name}", *SMALL[name], *overrides)
    )


@pytest.mark.parametrize("name", sorted(SMALL))
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_training_step_on_the_gpu_lowers_the_loss(name: str, precision: str) -> None:
    chosen = of_network(name, f"segmenter.precision={precision}")
    torch.manual_seed(1)
    module = LesionModule(chosen).to(DEVICE)
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3)
    reference = torch.zeros(2, 1, 32, 32, 32, device=DEVICE)
    reference[..., 4:9, 4:9, 4:9] = 1
    channels = torch.cat([reference * 3, -reference], dim=1)
    losses = []
    for _ in range(6):
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bf16"):
            levels = module.network.at_every_level(channels)
        loss = module.loss([one.float() for one in levels], reference)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", sorted(SMALL))
def test_processor_and_gpu_give_the_same_probability(name: str) -> None:
    chosen = of_network(name, "segmenter.window.size_voxels=[32,32,32]").segmenter
    torch.manual_seed(1)
    network = build_network(chosen.network, input_channels=2).eval()
    channels = np.random.default_rng(1).normal(size=(2, 40, 44, 36)).astype(np.float32)
    found = [
        lesion_probability(
            TorchEngine(network.to(device), precision="float32", device=torch.device(device)),
            channels,
            window=chosen.window,
        )
        for device in ("cpu", DEVICE)
    ]  # fmt: skip
    # TF32 in the convolutions is the largest difference.
    np.testing.assert_allclose(found[0], found[1], atol=5e-3)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_lesions_on_the_gpu_are_those_of_the_processor_in_float32(
    precision: Precision, small_phantom: Path
) -> None:
    """The shipped weights on the part of a phantom's scan that holds most of its lesions."""
    manifest = load_manifest(SHIPPED_FOLDER)
    folder = small_phantom / "training/sub-trainms02/ses-01/anat"
    images = {n: folder / f"sub-trainms02_ses-01_{n}.nii.gz" for n in ("FLAIR", "T1w")}
    done = Prepared(skull_stripped=True, sequences_aligned=True, bias_corrected=True)
    scan = Scan("sub-01", "ses-01", images)
    ready = prepare_scan(scan, done, settings=manifest.segmenter.preprocessing)
    part = network_input(ready, manifest.segmenter).channels[:, 56:120, 64:144, 104:160]
    network = build_network(manifest.segmenter.network, input_channels=2).eval()
    read_weights(network, SHIPPED_FOLDER / "weights.safetensors")
    window = WindowSettings(size_voxels=(48, 64, 48), overlap=0.25)
    masks = []
    for device, arithmetic in (("cpu", "float32"), (DEVICE, precision)):
        engine = TorchEngine(network.to(device), precision=arithmetic, device=torch.device(device))
        found = lesion_probability(engine, part, window=window)
        masks.append(found >= manifest.operating_point.probability_threshold)
    expected, found = masks
    assert expected.sum() > 5000
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) >= 0.998
    assert abs(found.sum() / expected.sum() - 1) <= 0.002


@pytest.mark.parametrize("loss", ["dice_cross_entropy", "dice_focal", "tversky", "blob"])
def test_the_whole_loop_runs_on_the_gpu(loss: str, tmp_path: Path) -> None:
    scans = [write_scan(tmp_path, number, lesion=number != 2) for number in range(4)]
    folder = tmp_path / "run"
    folder.mkdir()
    weights, fitted = trained(
        scans, folder, f"loss={loss}", "trainer.accelerator=gpu",
        "segmenter.network.deep_supervision=1", "optimiser.weight_average_decay=0.5",
        "trainer.activation_checkpointing=true", "trainer.accumulate_batches=2",
    )  # fmt: skip
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert len(fitted.history) == 2


def test_auto_is_bf16_where_the_gpu_has_it() -> None:
    expected = "bf16" if torch.cuda.is_bf16_supported() else "float32"
    assert choose_precision("auto", torch.device(DEVICE)) == expected
    assert choose_precision("float32", torch.device(DEVICE)) == "float32"


def test_swinunetr_takes_a_step_on_the_gpu() -> None:
    chosen = validated(TrainSettings, composed(
        "train", "segmenter=swinunetr", "patch.size_voxels=64", "segmenter.network.feature_size=12",
    ))  # fmt: skip
    module = LesionModule(chosen).to(DEVICE)
    with torch.autocast(DEVICE, torch.bfloat16):
        levels = module.network.at_every_level(torch.randn(1, 2, 64, 64, 64, device=DEVICE))
    loss = module.loss(
        [one.float() for one in levels], torch.zeros(1, 1, 64, 64, 64, device=DEVICE)
    )
    loss.backward()
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in module.parameters())


def test_loading_processes_hand_over_pinned_what_one_process_makes(tmp_path: Path) -> None:
    scans = [write_scan(tmp_path, number, lesion=number != 2) for number in range(4)]
    found = []
    for workers in (0, 2):
        data = LesionDataModule(scans[1:], scans[:1], settings(f"trainer.workers={workers}"))
        batches = list(data.train_dataloader())
        assert all(batch["channels"].is_pinned() for batch in batches)
        found.append([batch["channels"].to(DEVICE, non_blocking=True) for batch in batches])
    assert len(found[0]) == len(found[1]) > 0
    for alone, loaded in zip(*found, strict=True):
        assert torch.equal(alone, loaded)


def test_an_interrupted_training_on_the_gpu_goes_on_with_its_average(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not bit for bit as on a processor: some steps have no deterministic form on GPUs."""
    scans = [write_scan(tmp_path, number, lesion=number != 2) for number in range(4)]
    overrides = ("trainer.accelerator=gpu", "optimiser.weight_average_decay=0.5",
                 "trainer.workers=1")  # fmt: skip
    for name in ("whole", "interrupted"):
        (tmp_path / name).mkdir()
    expected, whole_run = trained(scans, tmp_path / "whole", *overrides)
    steps, whole = 0, LesionModule.training_step

    def interrupted(self: LesionModule, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 3:  # the first of the second epoch
            raise MemoryError
        return whole(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(LesionModule, "training_step", interrupted)
        with pytest.raises(MemoryError):
            trained(scans, tmp_path / "interrupted", *overrides)
    found, resumed = trained(scans, tmp_path / "interrupted", *overrides)
    for name, value in expected.items():
        torch.testing.assert_close(found[name].cpu(), value.cpu(), atol=1e-4, rtol=1e-3)
    assert [row["step"] for row in resumed.history] == [row["step"] for row in whole_run.history]


def test_a_batch_of_two_patches_of_96_fits_into_6_gb() -> None:
    chosen = validated(TrainSettings, composed("train", "patch.size_voxels=96"))
    module = LesionModule(chosen).to(DEVICE)
    optimiser = torch.optim.AdamW(module.parameters())
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        with torch.autocast(DEVICE, torch.bfloat16):
            levels = module.network.at_every_level(torch.randn(2, 2, 96, 96, 96, device=DEVICE))
        optimiser.zero_grad()
        reference = torch.zeros(2, 1, 96, 96, 96, device=DEVICE)
        module.loss([one.float() for one in levels], reference).backward()
        optimiser.step()
    assert torch.cuda.max_memory_allocated() < 6e9
