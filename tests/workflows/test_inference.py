"""Inference over the small phantom: outputs, redoing only what changed, bad scans."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from tests.conftest import Workplace

from lesion_dynamics.cohort.cohort import Cohort
from lesion_dynamics.errors import ConfigurationError, OutputError, ScanError
from lesion_dynamics.imaging.reading import read_image, read_mask, read_probability
from lesion_dynamics.lesions.alternatives import other_operating_points
from lesion_dynamics.lesions.measurement import measure
from lesion_dynamics.lesions.operating_point import lesion_mask
from lesion_dynamics.longitudinal.measurements import read_measurements
from lesion_dynamics.longitudinal.operating_points import ALTERNATIVES_FILE, read_alternatives
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.segmenter.segmenter import mask_at
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.operating_point import OperatingPoint
from lesion_dynamics.workflows import inference

FOLDER = "derivatives/study/lesion-segmenter-v1"
PLANTED = "DOE^JANE"
FREE_TEXT = ("descrip", "aux_file", "db_name", "intent_name")


@pytest.fixture(scope="module")
def place(
    trained: tuple[Workplace, ModelVersion], tmp_path_factory: pytest.TempPathFactory
) -> Workplace:
    """A workplace with its own copy of two study participants and the trained version."""
    folder = tmp_path_factory.mktemp("inference")
    shutil.copytree(trained[0].folder / "models", folder / "models")
    source = trained[0].data / "study"
    target = folder / "data/study"
    participants = pd.read_csv(source / "participants.tsv", sep="\t", dtype=str)
    kept = participants.groupby("diagnosis").head(1)
    target.mkdir(parents=True)
    kept.to_csv(target / "participants.tsv", sep="\t", index=False)
    for name in ("dataset_description.json", "participants.json"):
        shutil.copy(source / name, target / name)
    shutil.copytree(source / "phenotype", target / "phenotype")
    attacks = pd.read_csv(target / "phenotype/attacks.tsv", sep="\t", dtype=str)
    attacks = attacks[attacks["participant_id"].isin(kept["participant_id"])]
    attacks.to_csv(target / "phenotype/attacks.tsv", sep="\t", index=False)
    for participant_id in kept["participant_id"]:
        shutil.copytree(source / participant_id, target / participant_id)
    flair = min(target.glob("sub-*/ses-*/anat/*_FLAIR.nii.gz"))
    image = nib.load(flair)
    image.set_qform(image.affine + np.diag([0, 0, 0.1, 0]), code=1)  # sform is what counts
    for field in FREE_TEXT:
        image.header[field] = f"{PLANTED}{field}"[:10]
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", PLANTED.encode() * 4))
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header), flair)
    return Workplace(folder, folder / "data")


@pytest.fixture(scope="module")
def result(place: Workplace) -> inference.InferenceResult:
    return inference.run(place.inference())


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_masks_lie_on_the_native_flair_grid_and_follow_from_the_stored_probability(
    place: Workplace, result: inference.InferenceResult, trained: tuple[Workplace, ModelVersion]
) -> None:
    masks = sorted((place.folder / FOLDER).glob("sub-*/ses-*/anat/*_label-L_mask.nii.gz"))
    assert len(masks) == result.done == 4
    for path in masks:
        mask = read_mask(path)
        relative = path.relative_to(place.folder / FOLDER)
        name = relative.name.replace("_label-L_mask", "_FLAIR")
        flair = read_image(place.data / "study" / relative.parent / name)
        assert mask.on_same_grid_as(flair)
        header = nib.load(path).header
        np.testing.assert_allclose(header.get_sform(), header.get_qform(), atol=1e-4)
        probability = read_probability(
            path.with_name(path.name.replace("_label-L_mask", "_label-L_probseg"))
        )
        again = mask_at(probability, trained[1].manifest.operating_point)
        np.testing.assert_array_equal(again.voxels, mask.voxels)


def test_the_table_is_what_the_masks_hold(
    place: Workplace, result: inference.InferenceResult
) -> None:
    table = read_measurements(result.measurements)
    assert len(table) == 4
    assert set(table["model_version"]) == {"lesion-segmenter/1"}
    for row in table.itertuples():
        path = (
            place.folder / FOLDER / row.participant_id / row.session_id / "anat"
            / f"{row.participant_id}_{row.session_id}_label-L_mask.nii.gz"
        )  # fmt: skip
        mask = read_mask(path)
        voxel_volume = abs(np.linalg.det(nib.load(path).affine[:3, :3]))
        assert row.lesion_volume_mm3 == pytest.approx(mask.voxels.sum() * voxel_volume, abs=1e-3)
        measured = measure(mask, connectivity=int(row.connectivity))
        assert row.lesion_volume_mm3 == measured.lesion_volume_mm3
        assert row.lesion_count == measured.lesion_count
        assert 500_000 < row.brain_volume_mm3 < 2_500_000


def test_alternatives_are_what_the_stored_probability_gives(
    place: Workplace, result: inference.InferenceResult, trained: tuple[Workplace, ModelVersion]
) -> None:
    tables = read_alternatives(
        result.folder / ALTERNATIVES_FILE, read_measurements(result.measurements)
    )
    points = other_operating_points(trained[1].manifest.operating_point)
    assert len(tables) == len(points)
    for table in tables.values():
        assert len(table) == 4
        for row in table.itertuples():
            path = (
                place.folder / FOLDER / row.participant_id / row.session_id / "anat"
                / f"{row.participant_id}_{row.session_id}_label-L_probseg.nii.gz"
            )  # fmt: skip
            image = nib.load(path)
            point = OperatingPoint(
                probability_threshold=row.probability_threshold,
                minimum_lesion_volume_mm3=row.minimum_lesion_volume_mm3,
                connectivity=row.connectivity,
            )
            volume = abs(np.linalg.det(image.affine[:3, :3]))
            mask = lesion_mask(
                image.get_fdata(dtype=np.float32), voxel_volume_mm3=volume, operating_point=point
            )
            assert row.lesion_volume_mm3 == pytest.approx(mask.sum() * volume, abs=1e-3)


def test_no_free_text_of_a_scan_reaches_an_output(
    place: Workplace, result: inference.InferenceResult
) -> None:
    flair = min((place.data / "study").glob("sub-*/ses-*/anat/*_FLAIR.nii.gz"))
    assert gzip.decompress(flair.read_bytes()).count(PLANTED.encode()) == len(FREE_TEXT) + 4
    for name, content in files(result.folder).items():
        held = gzip.decompress(content) if name.endswith(".gz") else content
        assert PLANTED.encode() not in held, name
    for path in result.folder.rglob("*.nii.gz"):
        header = nib.load(path).header
        assert not header.extensions
        assert [bytes(header[field]).strip(b"\0") for field in FREE_TEXT] == [b""] * 4


def test_sidecars_name_version_weights_and_inputs(
    place: Workplace, result: inference.InferenceResult, trained: tuple[Workplace, ModelVersion]
) -> None:
    sidecar = json.loads(sorted(result.folder.glob("sub-*/ses-*/anat/*_mask.json"))[0].read_text())
    (remark,) = sidecar["Preprocessing"]["HeaderRemarks"]
    assert remark.startswith("FLAIR: sform and qform disagree by up to")
    assert sidecar["ModelVersion"] == "lesion-segmenter/1"
    assert sidecar["WeightsSHA256"] == trained[1].manifest.weights_sha256
    assert set(sidecar["InputHashes"]["files"]) == {"FLAIR", "T1w"}
    assert sidecar["OperatingPoint"] == trained[1].manifest.operating_point.model_dump(mode="json")
    text = json.dumps(sidecar)
    assert str(place.folder) not in text


def test_a_second_run_does_nothing_and_changes_nothing(
    place: Workplace, result: inference.InferenceResult
) -> None:
    before = files(result.folder)
    again = inference.run(place.inference())
    assert (again.done, again.kept) == (0, 4)
    assert files(result.folder) == before


def test_only_the_scan_whose_image_changed_is_done_again(
    place: Workplace, result: inference.InferenceResult, tmp_path: Path
) -> None:
    shutil.copytree(place.folder, tmp_path / "copy")
    other = Workplace(tmp_path / "copy", tmp_path / "copy/data")
    flair = sorted((other.data / "study").glob("sub-*/ses-*/anat/*_FLAIR.nii.gz"))[1]
    image = nib.load(flair)
    changed = np.asarray(image.dataobj).copy()
    changed[changed > 0] += 1
    nib.save(nib.Nifti1Image(changed, image.affine, image.header), flair)
    again = inference.run(other.inference())
    assert (again.done, again.kept) == (1, 3)


def test_a_mask_that_was_deleted_or_altered_is_made_again(
    place: Workplace, result: inference.InferenceResult, tmp_path: Path
) -> None:
    before = files(result.folder)
    shutil.copytree(place.folder, tmp_path / "copy")
    other = Workplace(tmp_path / "copy", place.data)
    masks = sorted((tmp_path / "copy" / FOLDER).glob("sub-*/ses-*/anat/*_mask.nii.gz"))
    masks[0].unlink()
    masks[1].write_bytes(masks[2].read_bytes() + b"x")
    again = inference.run(other.inference())
    assert (again.done, again.kept) == (2, 2)
    assert files(tmp_path / "copy" / FOLDER) == before


def test_bad_scans_are_listed_and_never_zero_and_the_good_ones_are_done(
    place: Workplace, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(place.data, data)
    shutil.copytree(place.folder / "models", tmp_path / "models")
    flairs = sorted((data / "study").glob("sub-*/ses-*/anat/*_FLAIR.nii.gz"))
    flairs[0].write_bytes(flairs[0].read_bytes()[:5000])
    image = nib.load(flairs[1])
    empty = np.zeros(image.shape, dtype=np.int16)
    nib.save(nib.Nifti1Image(empty, image.affine), flairs[1])
    other = Workplace(tmp_path, data)
    result = inference.run(other.inference())
    assert (result.done, len(result.failures)) == (2, 2)
    table = read_measurements(result.measurements).set_index("status")
    assert table.loc["failed", "lesion_volume_mm3"].isna().all()
    reasons = " ".join(table.loc["failed", "reason"])
    assert "every voxel is 0" in reasons
    assert "truncated" in reasons or "ends before" in reasons


def test_a_file_that_vanishes_after_its_header_was_read_is_named_in_one_line(
    place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = inference.read_cohort
    gone = tmp_path / "gone_FLAIR.nii.gz"

    def read_and_lose(*given: Any, **named: Any) -> Cohort:
        cohort = read(*given, **named)
        lost = replace(cohort.scans[0], images={**cohort.scans[0].images, "FLAIR": gone})
        return replace(cohort, scans=(lost, *cohort.scans[1:]))

    monkeypatch.setattr(inference, "read_cohort", read_and_lose)
    with pytest.raises(ScanError, match="this file can no longer be read") as caught:
        inference.run(place.inference(f"output={tmp_path}/out"))
    assert caught.value.where == str(gone)


def test_a_cohort_without_a_usable_scan_is_refused(place: Workplace, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(place.data, data)
    shutil.copytree(place.folder / "models", tmp_path / "models")
    for flair in (data / "study").glob("sub-*/ses-*/anat/*_FLAIR.nii.gz"):
        image = nib.load(flair)
        nib.save(nib.Nifti1Image(np.zeros(image.shape, dtype=np.int16), image.affine), flair)
    with pytest.raises(ScanError, match="no scan can be used"):
        inference.run(Workplace(tmp_path, data).inference())


def test_an_output_that_cannot_be_written_is_refused_first(
    place: Workplace, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    settings = place.inference(f"output={tmp_path / 'file'}")
    with pytest.raises(OutputError, match="cannot be written"):
        inference.run(settings)


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one(
    place: Workplace, result: inference.InferenceResult, tmp_path: Path
) -> None:
    settings: InferSettings = place.inference(f"output={tmp_path}", "executor.processes=2")
    again = inference.run(settings)
    assert files(again.folder) == files(result.folder)


def test_parts_hold_their_own_participants_and_together_every_row(
    place: Workplace, result: inference.InferenceResult, tmp_path: Path
) -> None:
    people = sorted(path.name for path in result.folder.glob("sub-*"))
    tables = []
    for number, who in enumerate(people, start=1):
        folder = tmp_path / f"study-part-{number}-of-2/lesion-segmenter-v1"
        shutil.copytree(result.folder / who, folder / who)
        part = inference.run(place.inference(f"part={number}/2", f"output={tmp_path}"))
        assert (part.folder, part.done, part.kept) == (folder, 0, 2)
        tables.append(read_measurements(part.measurements))
        assert set(tables[-1]["participant_id"]) == {who}
    together = pd.concat(tables, ignore_index=True)
    pd.testing.assert_frame_equal(together, read_measurements(result.measurements))


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "1/0", "-1/2", "a/b"])
def test_a_part_that_there_is_not_is_refused(place: Workplace, part: str) -> None:
    with pytest.raises(ConfigurationError, match="part"):
        place.inference(f"part='{part}'")
