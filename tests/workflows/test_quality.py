"""Quality control of an inference and the shared cache, over two participants of the phantom."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from tests.conftest import Workplace, composed

from lesion_dynamics.errors import CohortError
from lesion_dynamics.longitudinal.measurements import read_measurements
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing.step_cache import StepCache
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.segmenter.training_scans import prepare_training_scan
from lesion_dynamics.settings.quality_pictures import QualityPicturesSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows import inference, quality
from lesion_dynamics.workflows.training_plan import plan_training


@pytest.fixture(scope="module")
def place(
    trained: tuple[Workplace, ModelVersion], tmp_path_factory: pytest.TempPathFactory
) -> Workplace:
    """A workplace with its own copy of two study participants and the trained version."""
    folder = tmp_path_factory.mktemp("quality")
    shutil.copytree(trained[0].folder / "models", folder / "models")
    source, target = trained[0].data / "study", folder / "data/study"
    participants = pd.read_csv(source / "participants.tsv", sep="\t", dtype=str)
    kept = participants.groupby("diagnosis").head(1)
    target.mkdir(parents=True)
    kept.to_csv(target / "participants.tsv", sep="\t", index=False)
    shutil.copy(source / "dataset_description.json", target)
    for participant_id in kept["participant_id"]:
        shutil.copytree(source / participant_id, target / participant_id)
    return Workplace(folder, folder / "data")


@pytest.fixture(scope="module")
def result(place: Workplace) -> inference.InferenceResult:
    return inference.run(place.inference())


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".png"
    }


def entries(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*.entry")}


def table_of(folder: Path) -> pd.DataFrame:
    table: pd.DataFrame = pd.read_csv(folder / "quality.tsv", sep="\t", na_values="n/a")
    return table


def test_every_scan_has_a_row_and_every_column_a_meaning(
    result: inference.InferenceResult,
) -> None:
    table = table_of(result.folder)
    volumes = read_measurements(result.measurements)
    assert len(table) == len(volumes) == 4
    np.testing.assert_allclose(table["brain_volume_mm3"], volumes["brain_volume_mm3"], rtol=1e-5)
    meaning = json.loads((result.folder / "quality.json").read_text())
    assert set(meaning) | {"participant_id", "session_id"} == set(table.columns)
    for name in ("flair_signal_to_noise", "t1w_bias_field_range_percent", "brain_overlap_dice"):
        assert table[name].notna().all()
    assert table["compared_with"].isna().all()  # four scans are no distribution


def test_a_second_inference_takes_everything_expensive_from_the_cache(
    place: Workplace, result: inference.InferenceResult, tmp_path: Path
) -> None:
    before = entries(place.folder / "cache")
    # Per scan: a brain mask and a bias field of each of two sequences; a network once.
    assert len([name for name in before if not name.startswith("openvino_model/")]) == 4 * 3
    again = inference.run(place.inference(f"output={tmp_path / 'cached'}"))
    after = entries(place.folder / "cache")
    assert again.done == 4
    assert set(after) == set(before)
    assert all(after[name] > before[name] for name in before)  # each was read
    without = inference.run(place.inference(f"output={tmp_path / 'none'}", "cache.folder=null"))
    assert files(again.folder) == files(without.folder) == files(result.folder)


def test_training_and_inference_share_the_cache(
    place: Workplace, trained: tuple[Workplace, ModelVersion], tmp_path: Path
) -> None:
    settings = place.training(
        f"cohort.root={trained[0].data / 'training'}",
        f"cohort.reference_masks={trained[0].data / 'training/derivatives/reference'}",
    )
    scan = plan_training(settings).scans[0]
    prepared = settings.cohort.prepared
    steps = Steps(StepCache(trained[0].folder / "cache"))
    before = entries(trained[0].folder / "cache")
    found = prepare_training_scan(scan, prepared, settings.segmenter, tmp_path, steps=steps)
    assert set(entries(trained[0].folder / "cache")) == set(before)
    # The arrays are made again when a byte of them is not what was written.
    whole = files(found.folder)
    channels = found.folder / "channels.npy"
    channels.write_bytes(channels.read_bytes()[:-10])
    prepare_training_scan(scan, prepared, settings.segmenter, tmp_path, steps=steps)
    assert files(found.folder) == whole


def test_lost_measures_are_taken_again_without_segmenting(
    place: Workplace, result: inference.InferenceResult
) -> None:
    before = files(result.folder)
    kept = sorted(result.folder.glob("sub-*/*_quality.json"))
    kept[0].unlink()
    kept[1].write_text('{"Key": "of another version"}')
    again = inference.run(place.inference())
    assert (again.done, again.kept) == (0, 4)
    assert files(result.folder) == before


def test_a_limit_of_the_configuration_reaches_the_flags(
    place: Workplace, result: inference.InferenceResult, caplog: pytest.LogCaptureFixture
) -> None:
    before = files(result.folder)
    with caplog.at_level("INFO"):
        inference.run(place.inference("quality.brain_at_edge_limit_mm2=0"))
    cut = table_of(result.folder)["brain_at_edge_mm2"] > 0
    flagged = table_of(result.folder)["flag_count"] > 0
    assert flagged.tolist() == cut.tolist()
    assert f"quality: {int(cut.sum())} of 4 scans flagged" in caplog.text
    assert "fewer than 10 scans are no distribution" in caplog.text
    inference.run(place.inference())
    assert files(result.folder) == before


def pictures(place: Workplace, folder: Path, *overrides: str) -> QualityPicturesSettings:
    own = [
        f"cohort.root={place.data / 'study'}",
        f"cache.folder={place.folder / 'cache'}",
        f"derivatives={folder}",
        "executor.processes=1",
    ]
    return validated(QualityPicturesSettings, composed("quality", *own, *overrides))


@pytest.mark.slow
def test_every_scan_is_drawn_and_stands_on_the_sheet(
    place: Workplace, result: inference.InferenceResult
) -> None:
    found = quality.run(pictures(place, result.folder))
    assert (found.scans, found.failed) == (4, ())
    drawn = sorted((result.folder / "quality").glob("sub-*_quality.png"))
    assert len(drawn) == 4
    for path in (*drawn, *found.sheets):
        picture = imread(path)[..., :3]
        # Neither all white nor all black, and the brain's outline is there.
        assert 0.1 < picture.mean() < 0.95
        blue = np.abs(picture - np.array([0x56, 0xB4, 0xE9]) / 255).max(axis=-1) < 0.1
        assert blue.sum() > 50
    for path in drawn:
        path.unlink()
    none = quality.run(pictures(place, result.folder, "pictures=none"))
    assert none.scans == 4
    assert not list((result.folder / "quality").glob("sub-*_quality.png"))


def test_pictures_of_nothing_are_refused(
    place: Workplace, result: inference.InferenceResult, tmp_path: Path
) -> None:
    with pytest.raises(CohortError, match=r"there is no lesion_measurements\.tsv here"):
        quality.run(pictures(place, tmp_path))
    for name in ("lesion_measurements.tsv", "quality.tsv"):
        content = (result.folder / name).read_text().replace("sub-", "sub-of-others-")
        (tmp_path / name).write_text(content)
    with pytest.raises(CohortError, match="none of its scans belongs to the cohort"):
        quality.run(pictures(place, tmp_path))
