"""Tables from stored masks and probabilities: our own exactly, other operating points, refusals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.cohort.cohort import Cohort, CohortTables, Exclusion
from lesion_dynamics.errors import ConfigurationError, ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.imaging.writing import as_stored, write_mask
from lesion_dynamics.lesions.measurement import measure
from lesion_dynamics.lesions.operating_point import lesion_mask
from lesion_dynamics.longitudinal.measurements import read_measurements
from lesion_dynamics.longitudinal.operating_points import ALTERNATIVES_FILE, read_alternatives
from lesion_dynamics.model_version import WEIGHTS_FILE, ModelVersion, load_manifest
from lesion_dynamics.records.derivatives import ScanOutputs, write_scan
from lesion_dynamics.settings.measuring import MeasureMasksSettings, RethresholdSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows import inference_tables
from lesion_dynamics.workflows.inference_tables import write_tables
from lesion_dynamics.workflows.measuring.measure_masks import measure_masks
from lesion_dynamics.workflows.measuring.rethreshold import rethreshold

BASELINE = Path(__file__).parents[3] / "src/lesion_dynamics/baseline"
FIGURES = ("right", "anterior", "superior")
GEOMETRY = (
    dict.fromkeys(f"scale_{one}_percent" for one in FIGURES)
    | dict.fromkeys(
        f"shear_{one}_percent" for one in ("right_anterior", "right_superior", "anterior_superior")
    )
    | {"drift_corrected": False, "gradients_corrected": False, "mean_volume_scale": 1.0}
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What infer.py leaves of three scans, one of them without lesions, and of a failed one."""
    manifest = load_manifest(BASELINE)
    version = ModelVersion("lesion-baseline", 3, manifest, BASELINE / WEIGHTS_FILE)
    folder = tmp_path_factory.mktemp("measuring") / version.folder_name
    affine = np.array([[1, 0.1, 0, -9], [-0.1, 1, 0, 3], [0, 0, 3, 7], [0, 0, 0, 1]], dtype=float)
    rng = np.random.default_rng(3)
    rows = {}
    for number, height in enumerate((1.0, 1.0, 0.0)):
        key = (f"sub-{number}", "ses-01")
        smooth = np.kron(rng.random((6, 6, 4)), np.ones((3, 3, 2)))
        stored = as_stored(Image(voxels=(smooth * height).astype(np.float32), affine=affine))
        point = manifest.operating_point
        voxels = lesion_mask(
            stored.voxels, voxel_volume_mm3=stored.voxel_volume_mm3, operating_point=point
        )
        mask = stored.with_voxels(voxels)
        found = measure(mask, connectivity=point.connectivity)
        rows[key] = {
            "lesion_volume_mm3": found.lesion_volume_mm3, "lesion_count": found.lesion_count,
            "largest_lesion_volume_mm3": found.largest_lesion_volume_mm3,
            "brain_volume_mm3": 1234567.125, "status": "measured", "reason": "",
            "voxel_volume_mm3": round(mask.voxel_volume_mm3, 6), "alternatives": [], **GEOMETRY,
        }  # fmt: skip
        write_scan(
            ScanOutputs.of(*key, folder), mask=mask, probability=stored, key="k", version=version,
            input_hashes={}, measurements=rows[key], preprocessing={},
        )  # fmt: skip
    empty = pd.DataFrame()
    tables = CohortTables(empty, empty, empty, attacks_recorded=True)
    gone = Exclusion("sub-9", "ses-01", "FLAIR is truncated", failed=True, remedy="Copy it again.")
    write_tables(folder, rows, [gone], Cohort("c", folder, (), tables, (gone,)), version)
    return folder


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / made.name))


def measuring(folder: Path, **changed: object) -> MeasureMasksSettings:
    values = {"masks": folder, "output": folder.parent / "v.tsv", "label": "x/1", "processes": 1}
    return validated(MeasureMasksSettings, values | changed)


def other_point(folder: Path, **changed: object) -> RethresholdSettings:
    return validated(RethresholdSettings, {"derivatives": folder, "processes": 1} | changed)


def test_the_masks_of_an_inference_give_its_table_byte_for_byte(own: Path) -> None:
    result = measure_masks(measuring(own))
    assert (result.measured, result.same) == (3, True)
    assert result.table.read_bytes() == (own / "lesion_measurements.tsv").read_bytes()
    table = read_measurements(result.table).set_index("participant_id")
    assert table.loc["sub-2", "lesion_volume_mm3"] == 0.0
    assert table.loc["sub-9", "status"] == "failed"
    assert table.loc["sub-0", "lesion_volume_mm3"] > 1000


def test_a_long_table_comes_as_parquet_too(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not (made / "lesion_measurements.parquet").exists()
    monkeypatch.setattr(inference_tables, "PARQUET_FROM_ROWS", 4)
    inference_tables._write_parquet(made)
    parquet = made / "lesion_measurements.parquet"
    expected = read_measurements(made / "lesion_measurements.tsv")
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), expected, check_dtype=False)
    monkeypatch.setattr(inference_tables, "PARQUET_FROM_ROWS", 5)
    inference_tables._write_parquet(made)
    assert not parquet.exists()


def test_a_voxel_more_in_a_mask_is_seen(own: Path) -> None:
    path = own / "sub-2/ses-01/anat/sub-2_ses-01_label-L_mask.nii.gz"
    mask = read_mask(path)
    voxels = mask.voxels.copy()
    voxels[2, 2, 2] = 1
    write_mask(path, mask.with_voxels(voxels))
    result = measure_masks(measuring(own))
    assert result.same is False
    row = read_measurements(result.table).set_index("participant_id").loc["sub-2"]
    assert row["lesion_volume_mm3"] == pytest.approx(1.01 * 3, abs=1e-3)  # |det| of the affine
    assert row["lesion_count"] == 1


def test_masks_of_others_are_read_by_the_rule_and_bear_the_label(tmp_path: Path) -> None:
    folder = tmp_path / "tool/sub-1/ses-01/anat"
    folder.mkdir(parents=True)
    labels = np.zeros((9, 9, 9), dtype=np.uint8)
    labels[1:3, 1:3, 1:3] = 99
    labels[5, 5, 5] = 99
    labels[7, 7, 7] = 3
    nib.save(nib.Nifti1Image(labels, np.diag([1, 1, 2, 1])), folder / "sub-1_ses-01_label-L_mask.nii.gz")  # noqa: E501  # fmt: skip
    rule = {"label": (99,), "minimum_lesion_volume_mm3": 5}
    result = measure_masks(measuring(tmp_path / "tool", rule=rule, label="samseg/1"))
    (row,) = read_measurements(result.table).to_dict("records")
    assert (row["lesion_volume_mm3"], row["lesion_count"]) == (16.0, 1)
    assert (row["model_version"], row["minimum_lesion_volume_mm3"]) == ("samseg/1", 5.0)
    plain = measure_masks(measuring(tmp_path / "tool"))
    with pytest.raises(ScanError, match=r"1 mask\(s\) could not be measured"):
        plain.require_no_failures()  # two labels are no mask
    assert read_measurements(plain.table).loc[0, "status"] == "failed"


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="no lesion mask lies here"):
        measure_masks(measuring(tmp_path))


def test_another_threshold_is_what_the_probabilities_give(own: Path) -> None:
    (declared,) = read_measurements(own / "lesion_measurements.tsv")[
        "probability_threshold"
    ].unique()
    assert declared != 0.8
    result = rethreshold(other_point(own, threshold=0.8, minimum_lesion_volume_mm3=60))
    assert result.label == "lesion-baseline/3+t0.8+m60"
    assert (result.folder.name, result.done) == ("lesion-baseline-v3+t0.8+m60", 3)
    table = read_measurements(result.folder / "lesion_measurements.tsv").set_index("participant_id")
    assert list(table.index) == ["sub-0", "sub-1", "sub-2", "sub-9"]
    assert set(table["model_version"]) == {result.label}
    for who in ("sub-0", "sub-1", "sub-2"):
        stem = f"{who}/ses-01/anat/{who}_ses-01_label-L"
        probability = nib.load(own / f"{stem}_probseg.nii.gz")
        above = probability.get_fdata(dtype=np.float32) >= 0.8
        mask = nib.load(result.folder / f"{stem}_mask.nii.gz")
        voxels = np.asarray(mask.dataobj)
        assert not (voxels.astype(bool) & ~above).any()
        volume = abs(np.linalg.det(mask.affine[:3, :3]))
        assert table.loc[who, "lesion_volume_mm3"] == pytest.approx(voxels.sum() * volume, abs=1e-3)
        # Blocks of 18 voxels of 3.03 mm3: each has 54.5 mm3, so only what joins another stays.
        assert table.loc[who, "lesion_volume_mm3"] <= above.sum() * volume
    assert table.loc["sub-9", "reason"].startswith("FLAIR is truncated")
    assert measure_masks(measuring(result.folder)).same is True
    measured = read_measurements(result.folder / "lesion_measurements.tsv")
    assert len(read_alternatives(result.folder / ALTERNATIVES_FILE, measured)) > 3


def test_the_bids_validator_accepts_the_folders(own: Path) -> None:
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.is_file():
        pytest.skip("bids-validator-deno is not installed")
    (own / "sub-0/sub-0_quality.json").write_text("{}")
    for folder in (own, rethreshold(other_point(own, threshold=0.8)).folder):
        done = subprocess.run(
            [validator, folder, "--json", "--ignoreWarnings"],
            capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
        issues = json.loads(done.stdout)["issues"]["issues"]
        assert not [issue for issue in issues if issue.get("severity") == "error"]


def test_rethresholding_again_redoes_only_what_changed(own: Path) -> None:
    first = rethreshold(other_point(own, threshold=0.8))
    before = {p: p.read_bytes() for p in first.folder.rglob("*") if p.is_file()}
    min(first.folder.rglob("*_mask.nii.gz")).unlink()
    again = rethreshold(other_point(own, threshold=0.8))
    assert (again.done, again.kept) == (1, 2)
    assert {p: p.read_bytes() for p in first.folder.rglob("*") if p.is_file()} == before


def test_a_probability_that_was_changed_is_not_thresholded(own: Path) -> None:
    path = min(own.rglob("*_probseg.nii.gz"))
    path.write_bytes(path.read_bytes() + b"x")
    result = rethreshold(other_point(own, threshold=0.8))
    assert (result.done, result.failed) == (2, 1)
    table = read_measurements(result.folder / "lesion_measurements.tsv").set_index("participant_id")
    assert "was changed" in table.loc["sub-0", "reason"]


def test_volumes_corrected_for_geometry_are_not_taken_from_masks(own: Path) -> None:
    path = own / "sub-0/ses-01/anat/sub-0_ses-01_label-L_mask.json"
    sidecar = json.loads(path.read_text())
    sidecar["Measurements"]["gradients_corrected"] = True
    path.write_text(json.dumps(sidecar))
    assert "geometry" in measure_masks(measuring(own)).failures[0]
    assert rethreshold(other_point(own, connectivity=6)).failed == 1


def test_the_operating_point_of_the_version_itself_is_refused(own: Path) -> None:
    point = load_manifest(BASELINE).operating_point
    with pytest.raises(ConfigurationError, match="of the model version itself"):
        rethreshold(other_point(own, threshold=point.probability_threshold))
