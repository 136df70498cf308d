"""Every file under conf/ composes into valid settings, and every network takes a step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from tests.conftest import ROOT, composed

from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.segmenter.networks import build_network
from lesion_dynamics.segmenter.weights_file import read_weights, write_weights
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.check import CheckSettings
from lesion_dynamics.settings.corrections import (
    LayOutCorrectionsSettings,
    RankScansSettings,
    TakeCorrectionsSettings,
)
from lesion_dynamics.settings.deliver import DeliverSettings
from lesion_dynamics.settings.doctor import DoctorSettings
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.lesion_maps import LesionMapsSettings
from lesion_dynamics.settings.lesions_in_time import TrackSettings
from lesion_dynamics.settings.lineage import LineageSettings
from lesion_dynamics.settings.measuring import MeasureMasksSettings, RethresholdSettings
from lesion_dynamics.settings.outside_masks import RegisterMasksSettings
from lesion_dynamics.settings.promotion import PromoteSettings, RollbackSettings
from lesion_dynamics.settings.quality_pictures import QualityPicturesSettings
from lesion_dynamics.settings.release import ReleaseSettings
from lesion_dynamics.settings.releases import ExportSettings, ImportSettings, ParitySettings
from lesion_dynamics.settings.repeatability import RepeatabilitySettings
from lesion_dynamics.settings.reproduction import ReproduceSettings
from lesion_dynamics.settings.scan_pages import ScanPagesSettings
from lesion_dynamics.settings.search import SearchSettings
from lesion_dynamics.settings.strict import Strict, validated
from lesion_dynamics.settings.study_report import ReportSettings
from lesion_dynamics.settings.training import TrainSettings

CONF = ROOT / "conf"
ROOTS: dict[str, type[Strict]] = {
    "train": TrainSettings,
    "infer": InferSettings,
    "analyze": AnalyzeSettings,
    "check": CheckSettings,
    "doctor": DoctorSettings,
    "export": ExportSettings,
    "import_version": ImportSettings,
    "lineage": LineageSettings,
    "parity": ParitySettings,
    "promote": PromoteSettings,
    "release": ReleaseSettings,
    "rollback": RollbackSettings,
    "quality": QualityPicturesSettings,
    "measure_masks": MeasureMasksSettings,
    "deliver": DeliverSettings,
    "lay_out_corrections": LayOutCorrectionsSettings,
    "rank_scans": RankScansSettings,
    "register_masks": RegisterMasksSettings,
    "rethreshold": RethresholdSettings,
    "repeatability": RepeatabilitySettings,
    "report": ReportSettings,
    "reproduce": ReproduceSettings,
    "scan_pages": ScanPagesSettings,
    "search": SearchSettings,
    "track": TrackSettings,
    "lesion_maps": LesionMapsSettings,
    "take_corrections": TakeCorrectionsSettings,
}
ELSEWHERE = {
    "cohort/bids": ["cohort.root=/somewhere"],
    "cohort/manifest": ["cohort.root=/somewhere"],
    "segmenter/swinunetr": ["patch.size_voxels=64"],
}
"""Choices that need something from the user, with an example of it."""


REQUIRED = {
    "measure_masks": ["masks=masks", "output=volumes.tsv"],
    "rethreshold": ["derivatives=derivatives/study/lesion-segmenter-v1"],
    "export": ["file=version.zip"],
    "import_version": ["file=version.zip"],
    "rollback": ["reason=worse"],
    "lineage": ["path=results/study/statistics.tsv"],
    "parity": ["first=lesion-segmenter/1", "second=lesion-segmenter/2"],
    "register_masks": ["name=other", "tool=Other", "tool_version=v1", "masks=masks.tsv"],
    "lay_out_corrections": ["derivatives=derivatives/study/lesion-segmenter-v1"],
    "rank_scans": ["derivatives=[derivatives/study/lesion-segmenter-v1]"],
    "take_corrections": ["corrected_by=rater1"],
    "report": ["results=results/study"],
    "reproduce": ["into=/somewhere"],
    "quality": ["derivatives=derivatives/study/lesion-segmenter-v1"],
    "track": ["derivatives=derivatives/study/lesion-segmenter-v1"],
    "lesion_maps": ["derivatives=derivatives/study/lesion-segmenter-v1"],
    "scan_pages": ["derivatives=derivatives/study/lesion-segmenter-v1"],
}
"""What a command demands whatever the group, with an example of it."""


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def groups_of(name: str) -> list[str]:
    defaults = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))["defaults"]
    named = [next(iter(entry)) for entry in defaults if isinstance(entry, dict)]
    return [group for group in named if (CONF / group).is_dir()]


CASES = [
    (name, group, option)
    for name in ROOTS
    for group in groups_of(name)
    for option in options(group)
]


@pytest.mark.parametrize(("name", "group", "option"), CASES)
def test_every_option_of_every_group_composes_and_validates(
    name: str, group: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    needed = [*ELSEWHERE.get(f"{group}/{option}", []), *REQUIRED.get(name, [])]
    validated(ROOTS[name], composed(name, f"{group}={option}", *needed))


def test_no_file_under_conf_is_forgotten() -> None:
    known = {f"{name}.yaml" for name in ROOTS} | {f"{g}/{o}.yaml" for _, g, o in CASES}
    assert {str(path.relative_to(CONF)) for path in CONF.rglob("*.yaml")} == known


SMALL_NETWORKS = {
    "dynunet": ["segmenter.network.channels=[4,8,8]", "segmenter.network.deep_supervision=1"],
    "dynunet_batch_norm": ["segmenter.network.channels=[4,8,8]"],
    "unet": ["segmenter.network.channels=[4,8,8]", "segmenter.network.strides=[2,2]"],
    "segresnet": ["segmenter.network.init_filters=8"],
    "mednext": ["segmenter.network.init_filters=4", "segmenter.network.blocks=[1,1]"],
    "swinunetr": [
        "segmenter.network.feature_size=12",
        "segmenter.network.depths=[1,1,1,1]",
        "patch.size_voxels=64",
    ],
}
"""Every network of conf/segmenter, with few channels."""


@pytest.mark.parametrize("segmenter", options("segmenter"))
def test_every_network_learns_from_steps_and_its_weights_come_back_from_safetensors(
    segmenter: str, tmp_path: Path
) -> None:
    settings = validated(
        TrainSettings,
        composed("train", f"segmenter={segmenter}", "segmenter.precision=float32",
                 *SMALL_NETWORKS[segmenter]),
    )  # fmt: skip
    torch.manual_seed(1)
    module = LesionModule(settings)
    shape = (64, 32, 32) if segmenter == "swinunetr" else (16, 16, 16)
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3)
    reference = torch.zeros(1, 1, *shape)
    reference[..., 4:9, 4:9, 4:9] = 1
    channels = torch.cat([reference * 3, -reference], dim=1) + torch.randn(1, 2, *shape) * 0.1
    losses = []
    for _ in range(2 if segmenter == "swinunetr" else 6):
        loss = module.loss(module.network.at_every_level(channels), reference)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    # Every weight takes part: a distributed training would wait for one that does not.
    without = [n for n, p in module.network.named_parameters() if p.grad is None]
    assert not without
    write_weights(module.network, tmp_path / "weights.safetensors")
    again = build_network(settings.segmenter.network, input_channels=2)
    read_weights(again, tmp_path / "weights.safetensors")
    with torch.inference_mode():
        answer = again.eval()(channels)
        torch.testing.assert_close(answer, module.network.eval()(channels))
    assert answer.shape == reference.shape


def test_the_stages_of_dvc_yaml_name_files_that_exist() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    generated = ("data/", "models/", "derivatives/")
    for stage in stages.values():
        for dependency in stage["deps"]:
            if not dependency.startswith(generated):
                assert (ROOT / dependency).exists(), dependency


def test_the_readme_names_every_word_of_the_house_and_stays_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 200
    pictures = [line.split("](")[1].rstrip(")") for line in lines if line.startswith("![")]
    assert pictures
    for picture in pictures:
        assert (ROOT / Path(picture)).is_file()
