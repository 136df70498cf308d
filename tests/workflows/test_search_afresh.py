"""A search answers for the data, the settings and the code that are there, and skips what cannot
be trained."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hydra import initialize_config_dir
from tests.conftest import ROOT, SMALL_TRAINING
from tests.workflows.test_search import Trainings, searched, settings

from lesion_dynamics.errors import (
    CohortError,
    ConfigurationError,
    ModelVersionError,
    TrainingError,
    UserError,
)
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.workflows import training_plan
from lesion_dynamics.workflows.search import run, train_with
from lesion_dynamics.workflows.training_version import await_number

pytest.importorskip("optuna")
RATES = {"optimiser.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
LOSSES = {"loss": {"choices": ["blob", "tversky"]}}
SEARCH = "lesion_dynamics.workflows.search"


class Planned:
    """Searches of a place's training as ``search.py`` runs them, nothing trained."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.conf = folder, folder / "conf"
        self.data = folder / "data" / "training"
        shutil.copytree(data / "training", self.data)
        shutil.copytree(ROOT / "conf", self.conf)
        await_number(folder, name="m", run="0" * 32)
        self.overrides = [
            *SMALL_TRAINING,
            f"cohort.root={self.data}",
            f"cohort.reference_masks={self.masks}",
            f"runs={folder / 'runs'}",
            f"output={folder / 'output'}",
        ]

    @property
    def masks(self) -> Path:
        return self.data / "derivatives" / "reference"

    def searched(self, *, trials: int) -> tuple[int, str | None]:
        """How many trainings the search asked for, and the run above them."""
        trainings = Trainings(self.folder)
        own = settings(self.folder, trials=trials, space=RATES | LOSSES, overrides=self.overrides)
        with initialize_config_dir(str(self.conf), version_base="1.3"):
            found = run(own, trainings)
        assert found["trials"] == trials
        return len(trainings.seen), next((one["parent_run"] for one in trainings.seen), None)


def correct_a_mask(place: Planned, patch: pytest.MonkeyPatch) -> None:
    file = sorted(place.masks.rglob("*_mask.nii.gz"))[0]
    mask = nib.load(file)
    voxels = np.asarray(mask.dataobj).astype(np.uint8)
    voxels[tuple(np.argwhere(voxels)[0])] = 0
    nib.save(nib.Nifti1Image(voxels, mask.affine), file)


def edit_the_configuration(place: Planned, patch: pytest.MonkeyPatch) -> None:
    file = place.conf / "train.yaml"
    text = file.read_text(encoding="utf-8")
    assert "weight_decay: 1.0e-2" in text
    file.write_text(text.replace("weight_decay: 1.0e-2", "weight_decay: 2.0e-2"), encoding="utf-8")


def change_the_code(place: Planned, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(training_plan, "hash_of_source", lambda *parts: f"later {parts}")


def test_the_same_search_begins_afresh_where_its_training_has_changed(
    small_phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Planned(tmp_path, small_phantom)
    asked, first = place.searched(trials=1)
    assert asked == 1
    assert place.searched(trials=1) == (0, None)  # nothing has changed
    assert place.searched(trials=2) == (1, first)
    runs = {first}
    for change in (correct_a_mask, edit_the_configuration, change_the_code):
        change(place, monkeypatch)
        asked, afresh = place.searched(trials=2)
        assert asked == 2, change.__name__
        assert afresh not in runs, change.__name__
        runs.add(afresh)


def test_values_that_choose_the_data_are_planned_too(tmp_path: Path) -> None:
    """Each alone; those that a training alone cannot have are left to their trial."""
    space = {
        **RATES,
        "loss": {"choices": ["blob"]},
        "segmenter": {"choices": ["unet"]},
        "segmenter.network.head_channels": {"low": 2, "high": 4, "whole": True},
        "+cohort.root": {"choices": ["data/a", "data/b"]},
        "synthesis.share": {"low": 0.0, "high": 0.5},
        "initial_model_version": {"choices": ["m/1", "m/2"]},
    }
    asked: list[list[str]] = []
    keys = {"synthesis.share=0.5": "drawn"}

    def plan(overrides: Sequence[str]) -> str:
        asked.append(list(overrides))
        if overrides[-1] == "initial_model_version=m/2":
            raise ModelVersionError("of another network", where="m/2", remedy="None.")
        return keys.get(overrides[-1], "key")

    def train(overrides: Sequence[str]) -> ModelVersion:
        seen.append(list(overrides))
        return Trainings(tmp_path)(overrides)

    seen: list[list[str]] = []
    await_number(tmp_path, name="m", run="0" * 32)
    own = settings(tmp_path, trials=1, space=space, overrides=["seed=3"])
    run(own, train, plan)
    assert asked == [
        ["seed=3"],
        *(
            ["seed=3", one]
            for one in (
                "+cohort.root=data/a",
                "+cohort.root=data/b",
                "initial_model_version=m/1",
                "initial_model_version=m/2",
                "segmenter=unet",
                "synthesis.share=0.5",
            )
        ),
    ]
    run(own, train, plan)
    assert len(seen) == 1
    keys["synthesis.share=0.5"] = "drawn otherwise"
    run(own, train, plan)
    assert len(seen) == 2


def test_what_is_wrong_without_the_space_ends_the_search_before_it_begins(tmp_path: Path) -> None:
    trainings = Trainings(tmp_path)

    def refused(error: Exception) -> Callable[[Sequence[str]], str]:
        def plan(overrides: Sequence[str]) -> str:
            raise error

        return plan

    wrong = ConfigurationError("patience never ends it", where="trainer", remedy="Less of it.")
    with pytest.raises(ConfigurationError) as raised:
        run(settings(tmp_path), trainings, refused(wrong))
    assert str(raised.value) == (
        "search learning-rate-and-loss: without the values of the space the training is refused:"
        " trainer: patience never ends it. Give in overrides what it needs; the values of the"
        " space go before them."
    )
    with pytest.raises(CohortError, match="no such cohort"):
        run(settings(tmp_path), trainings, refused(
            CohortError("no such cohort", where="data", remedy="Correct it.")))  # fmt: skip
    assert not trainings.seen
    assert not (tmp_path / "tracking").exists()


class Picky(Trainings):
    """Refuses the Tversky loss."""

    error: Exception = ConfigurationError("does not go with it", where="loss", remedy="Another.")

    def __call__(self, overrides: Sequence[str]) -> ModelVersion:
        if "loss=tversky" in overrides:
            self.seen.append(dict(one.split("=", 1) for one in overrides))
            raise self.error
        return super().__call__(overrides)


@pytest.mark.parametrize("kind", [ConfigurationError, TrainingError])
def test_a_combination_that_is_refused_or_diverges_is_left_out_and_named(
    kind: type[UserError], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await_number(tmp_path, name="m", run="0" * 32)
    own = settings(tmp_path, trials=6, space=RATES | LOSSES)
    trainings = Picky(tmp_path)
    trainings.error = kind("does not go with it", where="loss", remedy="Another.")
    with caplog.at_level(logging.INFO, logger=SEARCH):
        found = searched(own, trainings)
    refused = [one for one in trainings.seen if one["loss"] == "tversky"]
    assert 0 < len(refused) < len(trainings.seen) == 6
    assert (found["trials"], found["refused"]) == (6 - len(refused), len(refused))
    assert "loss=blob" in found["overrides"]
    lines = [record.getMessage() for record in caplog.records if record.name == SEARCH]
    assert lines[0] == (
        "search learning-rate-and-loss: 6 trials over loss, optimiser.learning_rate"
    )
    assert lines[1:-1] == [
        f"not trained: loss=tversky optimiser.learning_rate={one['optimiser.learning_rate']}:"
        " loss: does not go with it. Another."
        for one in refused
    ]
    assert lines[-1].startswith(f"best of {found['trials']}, {len(refused)} refused: ")
    # The same command makes up for them, with other combinations.
    again = Picky(tmp_path)
    searched(own, again)
    assert len(again.seen) == len(refused)
    drawn = [(one["loss"], one["optimiser.learning_rate"]) for one in trainings.seen + again.seen]
    assert len(set(drawn)) == len(drawn)


def test_a_search_whose_every_combination_is_refused_says_so(tmp_path: Path) -> None:
    own = settings(tmp_path, trials=3, space={**RATES, "loss": {"choices": ["tversky"]}})
    trainings = Picky(tmp_path)
    with pytest.raises(ConfigurationError) as raised:
        searched(own, trainings)
    assert len(trainings.seen) == 3
    assert str(raised.value) == (
        "search learning-rate-and-loss: none of the 3 combinations that were drawn can be trained;"
        " the last: loss: does not go with it. Another. Correct the space or the overrides; the"
        " lines above name every combination."
    )
    # The same command draws others: what refused these may have been mended meanwhile.
    with pytest.raises(ConfigurationError, match="none of the 6 combinations"):
        searched(own, trainings)
    assert len({one["optimiser.learning_rate"] for one in trainings.seen}) == 6


def test_other_errors_still_end_the_search(tmp_path: Path) -> None:
    trainings = Picky(tmp_path)
    trainings.error = CohortError("a scan is gone", where="data", remedy="Bring it back.")
    with pytest.raises(CohortError, match="a scan is gone"):
        searched(settings(tmp_path, trials=4, space={"loss": {"choices": ["tversky"]}}), trainings)
    assert len(trainings.seen) == 1


def test_settings_that_do_not_go_together_are_refused_as_a_combination(tmp_path: Path) -> None:
    """By ``train.py``'s own rules: what is caught is what it raises."""
    given = ["trainer.epochs=2", "trainer.early_stopping_patience=3"]
    with (
        initialize_config_dir(str(ROOT / "conf"), version_base="1.3"),
        pytest.raises(ConfigurationError, match=r"^conf/train\.yaml: .*patience=3 never ends"),
    ):
        train_with([*SMALL_TRAINING, *given])


def test_the_number_that_is_told_is_the_number_that_was_compared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await_number(tmp_path, name="m", run="0" * 32)
    five: Mapping[str, Any] = searched(settings(tmp_path, trials=5), Trainings(tmp_path))
    fewer = Trainings(tmp_path)
    with caplog.at_level(logging.INFO, logger=SEARCH):
        found = searched(settings(tmp_path, trials=3), fewer)
    assert not fewer.seen
    assert found == five
    assert found["trials"] == 5
    assert caplog.messages[-1].startswith("best of 5: ")
