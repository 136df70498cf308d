"""Training on the small phantom: what comes out, and that interruptions change nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from tests.conftest import Workplace
from tests.segmenter.test_fit import KNOBS

from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.cohort.splits import Split
from lesion_dynamics.errors import ModelVersionError, ScanError
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.imaging.writing import as_stored
from lesion_dynamics.model_version import ModelVersion, load_model_version
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.records.registry import is_registered, resolve
from lesion_dynamics.records.store import open_store
from lesion_dynamics.segmenter import fit as fit_module
from lesion_dynamics.segmenter.evaluation import probabilities
from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.segmenter.segmenter import Segmenter
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.workflows.training import run
from lesion_dynamics.workflows.training_plan import _training_key, plan_training
from lesion_dynamics.workflows.training_version import registered_run


def key_of(settings: TrainSettings) -> str:
    """Key of a training on one scan: what it depends on beside the data."""
    cohort = read_cohort(settings.cohort)
    scan, other = (s for s in cohort.scans[:2])
    split = Split((scan.participant_id,), (other.participant_id,))
    return _training_key((scan,), split, cohort, settings, None, ())


def weights_of(version: ModelVersion) -> bytes:
    return version.weights.read_bytes()


def last_weights(place: Workplace) -> dict[str, torch.Tensor]:
    """Weights after the last epoch of the training with seed 1."""
    folder = plan_training(place.training()).run_folder
    state: dict[str, torch.Tensor] = torch.load(
        folder / fit_module.LAST_CHECKPOINT, weights_only=True
    )["state_dict"]
    return state


def test_a_training_ends_in_a_registered_version_without_a_pickle(
    trained: tuple[Workplace, ModelVersion],
) -> None:
    place, version = trained
    store = open_store(place.training().tracking)
    assert version.label == "lesion-segmenter/1"
    assert is_registered(store, version)
    files = [p for p in (place.folder / "tracking/artifacts").rglob("*") if p.is_file()]
    flavour = {
        "MLmodel", "served_model.py", "model_card.md", "requirements.txt", "conda.yaml",
        "python_env.yaml",
    }  # fmt: skip
    others = [path for path in files if path.name not in flavour]
    assert {path.suffix for path in others} <= {".json", ".safetensors", ".png", ".svg"}
    assert flavour <= {path.name for path in files}
    assert (place.folder / "models/lesion-segmenter/model_card.md").is_file()
    run_id = json.loads((place.folder / "models/lesion-segmenter/model_version.json").read_text())[
        "run_id"
    ]
    assert store.client.get_run(run_id).info.status == "FINISHED"
    logged = {item.path for item in store.client.list_artifacts(run_id)}
    assert {"configuration.json", "environment.json", "lineage.json", "split.json"} <= logged
    pictures = {Path(item.path).name for item in store.client.list_artifacts(run_id, "pictures")}
    assert {
        f"{name}.png" for name in ("validation_examples", "learning_curves", "reliability")
    } <= (pictures)
    (learned_from,) = store.client.get_run(run_id).inputs.dataset_inputs
    assert learned_from.dataset.name == "training"
    assert len(learned_from.dataset.digest) == 32
    metrics = store.client.get_run(run_id).data.metrics
    assert {"final_mean_dice", "final_MS_mean_volume_difference_mm3"} <= set(metrics)
    assert version.manifest.validation["reliability"]


def test_no_participant_is_on_both_sides_and_the_manifest_says_who_was_where(
    trained: tuple[Workplace, ModelVersion],
) -> None:
    place, version = trained
    sides = version.manifest.training["participants"]
    assert not set(sides["training"]) & set(sides["validation"])
    cohort = read_cohort(place.training().cohort)
    assert set(sides["training"]) | set(sides["validation"]) == {
        scan.participant_id for scan in cohort.scans
    }
    assert {row["participant_id"] for row in version.manifest.validation["each"]} == set(
        sides["validation"]
    )


def test_number_alias_and_folder_are_the_same_version(
    trained: tuple[Workplace, ModelVersion],
) -> None:
    place, version = trained
    tracking = place.training().tracking
    for reference in (
        "lesion-segmenter/1",
        "lesion-segmenter@candidate",
        str(place.folder / "models/lesion-segmenter"),
    ):
        found = resolve(reference, tracking)
        assert found.label == "lesion-segmenter/1"
        assert weights_of(found) == weights_of(version)
    with pytest.raises(ModelVersionError, match=r"no model version 9 .* which has 1"):
        resolve("lesion-segmenter/9", tracking)
    with pytest.raises(ModelVersionError, match="no such folder, and not NAME/NUMBER"):
        resolve("models/no-such-folder", tracking)


def test_the_same_training_is_not_done_twice(
    trained: tuple[Workplace, ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, version = trained
    monkeypatch.setattr(fit_module, "fit", None)
    again = run(place.training())
    assert again.label == version.label


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_a_training_cut_off_after_its_registration_ends_well_when_it_is_started_again(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path, status: str
) -> None:
    """For example because the published copy had found no room."""
    place, version = trained
    settings = place.training(f"output={tmp_path / 'output'}")
    client = open_store(settings.tracking).client
    run_id = registered_run(version.weights.parent)
    assert run_id is not None
    client.set_terminated(run_id, status)
    assert run(settings).label == version.label
    assert weights_of(load_model_version(tmp_path / "output")) == weights_of(version)
    assert client.get_run(run_id).info.status == "FINISHED"


@pytest.mark.slow
def test_an_interrupted_training_goes_on_to_the_same_weights_in_the_same_run(
    trained: tuple[Workplace, ModelVersion],
    workplace: Workplace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A loading process draws patches ahead, so a resume must tell it the epoch at once.
    settings = workplace.training("trainer.workers=1")
    steps = 0
    whole = LesionModule.training_step

    def interrupted(self: LesionModule, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 5:  # in the second epoch
            raise KeyboardInterrupt
        return whole(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(LesionModule, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(settings)
    assert not (workplace.folder / "models/lesion-segmenter/manifest.json").exists()
    version = run(settings)
    assert weights_of(version) == weights_of(trained[1])
    # The version holds the best epoch, which may lie before the interruption: the last counts.
    resumed, whole_run = last_weights(workplace), last_weights(trained[0])
    assert all(torch.equal(resumed[name], whole_run[name]) for name in whole_run)
    store = open_store(workplace.training().tracking)
    assert len(store.client.search_runs([store.experiment_id])) == 1


def test_another_seed_gives_other_weights_and_the_next_number(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path
) -> None:
    place, version = trained
    other = run(place.training("seed=2", f"output={tmp_path / 'other'}"))
    assert other.number > version.number
    assert weights_of(other) != weights_of(version)


@pytest.mark.parametrize(("knob", "beside"), KNOBS, ids=[knob for knob, _ in KNOBS])
def test_every_knob_that_changes_the_weights_names_another_training(
    knob: str, beside: tuple[str, ...], trained: tuple[Workplace, ModelVersion]
) -> None:
    """That the weights differ is shown in tests/segmenter/test_fit.py."""
    place, _ = trained
    assert key_of(place.training(*beside, knob)) != key_of(place.training(*beside))


@pytest.mark.parametrize(
    "knob",
    [
        "trainer.workers=2",
        "parent_run=abc",
        "processes=2",
        "split_seed=1",
        "trainer.wait_for_disk_seconds=1",
    ],
)
def test_knobs_of_the_machine_name_the_same_training(
    knob: str, trained: tuple[Workplace, ModelVersion]
) -> None:
    place, _ = trained
    assert key_of(place.training(knob)) == key_of(place.training())


def test_a_flipped_bit_in_the_weights_is_refused(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path
) -> None:
    source = trained[0].folder / "models/lesion-segmenter"
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    broken = bytearray((tmp_path / "weights.safetensors").read_bytes())
    broken[-3] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(bytes(broken))
    with pytest.raises(ModelVersionError, match="SHA-256 differs"):
        load_model_version(tmp_path)


def test_a_scan_without_t1w_is_segmented_with_its_channel_missing(
    trained: tuple[Workplace, ModelVersion],
) -> None:
    place, version = trained
    segmenter = Segmenter.from_model_version(version)
    scan = read_cohort(place.inference().cohort).scans[0]
    flair_alone = type(scan)(scan.participant_id, scan.session_id, {"FLAIR": scan.images["FLAIR"]})
    prepared = place.inference().cohort.prepared
    both, alone = (
        segmenter.probability(
            prepare_scan(one, prepared, settings=segmenter.settings.preprocessing)
        ).voxels
        for one in (scan, flair_alone)
    )
    assert np.isfinite(alone).all()
    assert alone.shape == both.shape
    assert np.abs(alone - both).max() > 1e-4


def test_what_is_evaluated_lies_on_disk_and_is_gone_afterwards(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path
) -> None:
    """All validation scans of a cohort need not fit into the memory together."""
    place, version = trained
    settings, segmenter = place.training(), Segmenter.from_model_version(version)
    plan = plan_training(settings)
    scan = plan.of(plan.split.validation)[0]
    evaluated = probabilities(segmenter, [scan], settings.cohort.prepared, folder=tmp_path)
    (found,) = evaluated
    ready = prepare_scan(scan, settings.cohort.prepared, settings=segmenter.settings.preprocessing)
    assert scan.reference_mask is not None
    for kept, whole in (
        (found.probability, as_stored(segmenter.probability(ready)).voxels),
        (found.reference, read_mask(scan.reference_mask).voxels),
        (found.brain_mask, ready.brain_mask.voxels),
    ):
        assert kept is not None
        np.testing.assert_array_equal(kept, whole)
    assert found.voxel_volume_mm3 == pytest.approx(ready.brain_mask.voxel_volume_mm3)
    np.testing.assert_array_equal(found.affine, ready.brain_mask.affine)
    # Read anew each time: nothing but the file remembers the voxels.
    assert found.probability is not evaluated[0].probability
    np.save(tmp_path / "0-probability.npy", np.zeros(3))
    assert evaluated[-1].probability.shape == (3,)
    assert len(list(tmp_path.iterdir())) == 3
    left = {path.name for path in plan.run_folder.iterdir()}
    assert left == {"best.ckpt", "last.ckpt", "model_version", "pictures", "run.json"}


def test_a_broken_labelled_scan_stops_the_training_before_torch(
    workplace: Workplace, tmp_path: Path
) -> None:
    import shutil

    data = tmp_path / "data"
    shutil.copytree(workplace.data / "training", data / "training")
    victim = sorted((data / "training").glob("sub-*/ses-*/anat/*_FLAIR.nii.gz"))[0]
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2])
    with pytest.raises(ScanError, match=r"truncated|damaged|ends before"):
        plan_training(Workplace(tmp_path, data).training())


def test_the_weights_file_is_safetensors_of_the_named_network(
    trained: tuple[Workplace, ModelVersion],
) -> None:
    tensors = safetensors.torch.load_file(trained[1].weights)
    assert tensors["head.weight"].shape == (1, 2, 1, 1, 1)
