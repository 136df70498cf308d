"""Every file under conf/ composes into valid settings, and every network takes a step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from tests.conftest import ROOT, composed

from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.quality_pictures import QualityPicturesSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainSettings

CONF = ROOT / "conf"
ROOTS = {
    "train": TrainSettings,
    "infer": InferSettings,
    "analyze": AnalyzeSettings,
    "quality": QualityPicturesSettings,
}
NEEDED = {"quality": ["derivatives=derivatives/study/lesion-segmenter-v1"]}
"""Keys that a command must be given."""

ELSEWHERE = {"cohort/bids": ["cohort.root=/somewhere"]}
"""Choices that need something from the user, with an example of it."""


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
    needed = [*NEEDED.get(name, []), *ELSEWHERE.get(f"{group}/{option}", [])]
    validated(ROOTS[name], composed(name, f"{group}={option}", *needed))


def test_no_file_under_conf_is_forgotten() -> None:
    known = {f"{name}.yaml" for name in ROOTS} | {f"{g}/{o}.yaml" for _, g, o in CASES}
    assert {str(path.relative_to(CONF)) for path in CONF.rglob("*.yaml")} == known


@pytest.mark.parametrize("segmenter", options("segmenter"))
def test_every_network_learns_from_a_step_and_finds_the_same_answer_again(segmenter: str) -> None:
    settings = validated(
        TrainSettings, composed("train", f"segmenter={segmenter}", "segmenter.precision=float32")
    )
    torch.manual_seed(1)
    module = LesionModule(settings)
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3)
    reference = torch.zeros(1, 1, 16, 16, 16)
    reference[..., 4:9, 4:9, 4:9] = 1
    channels = torch.cat([reference * 3, -reference], dim=1) + torch.randn(1, 2, 16, 16, 16) * 0.1
    losses = []
    for _ in range(8):
        loss = module.loss(module.network(channels), reference)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert module.network(channels).shape == reference.shape
    assert losses[-1] < losses[0]
    gradients = [parameter.grad for parameter in module.network.head.parameters()]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


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
