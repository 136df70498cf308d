"""Aligned sessions and MNI space in an inference: tables, files, keys."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from tests.conftest import Workplace
from tests.in_this_process import in_this_process

from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.longitudinal.measurements import read_measurements
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing import drift, mni
from lesion_dynamics.workflows import inference, inference_scans

FOLDER = "derivatives/study/lesion-segmenter-v1"
SPACE = "space-MNI152NLin2009aSym"


@pytest.fixture(scope="module")
def place(
    trained: tuple[Workplace, ModelVersion], tmp_path_factory: pytest.TempPathFactory
) -> Workplace:
    """A workplace with one participant, two sessions."""
    folder = tmp_path_factory.mktemp("geometry")
    shutil.copytree(trained[0].folder / "models", folder / "models")
    source, target = trained[0].data / "study", folder / "data/study"
    participants = pd.read_csv(source / "participants.tsv", sep="\t", dtype=str)
    kept = participants[participants["diagnosis"] == "MS"].head(1)
    target.mkdir(parents=True)
    kept.to_csv(target / "participants.tsv", sep="\t", index=False)
    shutil.copytree(source / "phenotype", target / "phenotype")
    attacks = pd.read_csv(target / "phenotype/attacks.tsv", sep="\t", dtype=str)
    attacks = attacks[attacks["participant_id"].isin(kept["participant_id"])]
    attacks.to_csv(target / "phenotype/attacks.tsv", sep="\t", index=False)
    shutil.copytree(
        source / kept["participant_id"].iloc[0], target / kept["participant_id"].iloc[0]
    )
    return Workplace(folder, folder / "data")


@pytest.fixture(scope="module", autouse=True)
def coarse() -> Iterator[None]:
    """In this process, on coarse grids: seconds instead of minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference_scans, "spread", in_this_process)
        patch.setattr(mni, "_REGISTERED_AT_MM", 6)
        patch.setattr(mni, "_WRITTEN_AT_MM", 3)
        patch.setattr(mni, "_WARP_ITERATIONS", "5x2")
        patch.setattr(drift, "_SPACING_MM", 5.0)
        yield


ALIGNED = ("cohort.session_alignment=rigid",)


def geometry(place: Workplace) -> pd.DataFrame:
    return pd.read_csv(place.folder / FOLDER / "scan_geometry.tsv", sep="\t")


def test_drift_is_reported_and_volumes_follow_where_it_is_corrected(place: Workplace) -> None:
    plain = inference.run(place.inference())
    unaligned = geometry(place)
    assert unaligned.filter(like="percent").isna().all(axis=None)
    assert (unaligned["mean_volume_scale"] == 1.0).all()
    assert plain.done == 2

    reported = inference.run(place.inference(*ALIGNED))
    told = geometry(place)
    scales = told.filter(like="scale_").filter(like="percent")
    assert scales.notna().all(axis=None)
    assert not told["drift_corrected"].any()
    # No session is favoured: their differences from the mean cancel.
    np.testing.assert_allclose(scales.sum(), 0, atol=0.02)
    before = read_measurements(reported.measurements)

    corrected = inference.run(place.inference(*ALIGNED, "cohort.distortion.correct_drift=true"))
    assert corrected.done == 2
    taken_out = geometry(place)
    assert taken_out["drift_corrected"].all()
    expected = 1 / np.prod(1 + scales.to_numpy() / 100, axis=1)
    np.testing.assert_allclose(taken_out["mean_volume_scale"], expected, atol=2e-3)
    after = read_measurements(corrected.measurements)
    np.testing.assert_allclose(
        after["brain_volume_mm3"],
        before["brain_volume_mm3"] * taken_out["mean_volume_scale"],
        rtol=1e-5,
    )


@pytest.mark.parametrize("kind", ["affine", "deformable"])
def test_masks_in_mni_space_come_with_their_transforms(place: Workplace, kind: str) -> None:
    result = inference.run(place.inference(*ALIGNED, f"mni={kind}"))
    assert result.done == 2
    assert not result.failures
    masks = sorted((place.folder / FOLDER).rglob(f"*_{SPACE}_label-L_mask.nii.gz"))
    assert len(masks) == 2
    for path in masks:
        assert read_mask(path).on_same_grid_as(mni.mni_template(3).brain)
        stem = path.name.split(f"_{SPACE}")[0]
        text = path.parent / f"{stem}_from-MNI152NLin2009aSym_to-participant_mode-points_xfm.txt"
        numbers = text.read_text(encoding="utf-8").splitlines()[3].split()[1:]
        sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
        said = json.loads(sidecar.read_text(encoding="utf-8"))
        assert said["Deformable"] == (kind == "deformable")
        flip = np.diag([-1.0, -1, 1, 1])
        lps = flip @ np.array(said["ParticipantSpaceFromMNI"]) @ flip
        np.testing.assert_allclose(np.array(numbers[:9], float).reshape(3, 3), lps[:3, :3])
        np.testing.assert_allclose(np.array(numbers[9:], float), lps[:3, 3], atol=1e-8)
        warps = sorted(path.parent.glob(f"{stem}_{SPACE}_desc-*warp_xfm.nii.gz"))
        assert len(warps) == (2 if kind == "deformable" else 0)
        for warp in warps:
            header = nib.load(warp).header
            assert header.get_intent()[0] == "vector"
            assert header.get_data_shape()[3:] == (1, 3)
    assert inference.run(place.inference(*ALIGNED, f"mni={kind}")).done == 0
    masks[0].unlink()
    assert inference.run(place.inference(*ALIGNED, f"mni={kind}")).done == 1


def test_a_bad_coefficient_file_is_refused_before_anything_is_done(
    place: Workplace, tmp_path: Path
) -> None:
    from lesion_dynamics.errors import ConfigurationError

    (tmp_path / "site.grad").write_text("nothing", encoding="utf-8")
    settings = place.inference(
        f"+cohort.distortion.gradient_coefficients.any={tmp_path / 'site.grad'}"
    )
    with pytest.raises(ConfigurationError, match="no usable file of gradient coefficients"):
        inference.run(settings)
