"""A full disk under training and inference: one line, nothing half-written, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Workplace
from tests.in_this_process import in_this_process
from tests.small_files import files_of_at_most

from lesion_dynamics.errors import DiskFullError
from lesion_dynamics.longitudinal.measurements import FILE_NAME
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.report.validation_pictures import draw_learning_curves
from lesion_dynamics.segmenter.training_scans import prepare_training_scan
from lesion_dynamics.workflows import inference, inference_scans
from lesion_dynamics.workflows.training_evaluation import log_pictures
from lesion_dynamics.workflows.training_plan import plan_training


def test_an_inference_ends_at_the_first_mask_that_does_not_fit(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, _ = trained
    output = tmp_path / "derivatives"
    monkeypatch.setattr(inference_scans, "spread", in_this_process)
    settings = place.inference(f"output={output}", "cache.folder=null")
    with files_of_at_most(1000), pytest.raises(DiskFullError, match="no file may grow"):
        inference.run(settings)
    left = [path for path in output.rglob("*") if path.is_file()]
    assert [path.name for path in left if path.name == FILE_NAME] == []
    assert [path.name for path in left if "sub-" in path.name or ".partial" in path.name] == []


def test_scans_that_do_not_fit_are_said_as_such_and_not_as_broken(workplace: Workplace) -> None:
    settings = workplace.training()
    scan = plan_training(settings).scans[0]
    store = workplace.folder / "prepared"
    said = r"no file may grow .* MB needed for this file"
    with files_of_at_most(20_000), pytest.raises(DiskFullError, match=said):
        prepare_training_scan(scan, settings.cohort.prepared, settings.segmenter, store)
    assert list(store.iterdir()) == []


class Recorder:
    def __init__(self) -> None:
        self.files: list[str] = []

    def log_file(self, path: Path, folder: str) -> None:
        self.files.append(f"{folder}/{path.name}")


def test_a_picture_that_finds_no_room_is_left_out_and_the_others_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracked = Recorder()
    history = [{"step": 1.0, "training_loss": 0.5}]

    def without_room() -> tuple[Path, Path]:
        with files_of_at_most(1000):
            return draw_learning_curves(tmp_path / "full", history)

    log_pictures(
        tracked,  # type: ignore[arg-type]
        without_room,
        lambda: draw_learning_curves(tmp_path, history),
    )
    assert tracked.files == ["pictures/learning_curves.png", "pictures/learning_curves.svg"]
    assert caplog.text.count("a picture is left out") == 1
    assert list((tmp_path / "full").iterdir()) == []
