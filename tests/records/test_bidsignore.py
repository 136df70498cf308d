"""What every command leaves in a derivatives folder, before the BIDS validator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_labels, write_mask
from lesion_dynamics.records.derivatives import write_bidsignore

BESIDE = (
    "lesion_measurements.tsv", "scan_geometry.tsv", "exclusions.json", "quality.json",  # infer.py
    "lineage.json", "lesions.tsv", "lesions.json", "lesion_intervals.tsv", "lesion_intervals.json",
    "group/diagnosis-MS_timepoint-first_lesionfrequency.nii.gz", "group/lesion_maps.json",
    "group/regions.tsv", "quality/index.html", "pages/index.html", "pages/sub-1.html",
    "repeatability.json", "repeatability.tsv", "repeatability_summary.tsv", "repeatability.png",
    "repeatability.svg", "repeatability/sub-1_ses-2.json",
)  # fmt: skip


def test_the_validator_accepts_what_lies_beside_the_masks(tmp_path: Path) -> None:
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.is_file():
        pytest.skip("bids-validator-deno is not installed")
    write_bidsignore(tmp_path)
    said = {"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    (tmp_path / "dataset_description.json").write_text(
        json.dumps({**said, "GeneratedBy": [{"Name": "lesion-dynamics"}]}), encoding="utf-8"
    )
    anat = tmp_path / "sub-1" / "ses-2" / "anat"
    anat.mkdir(parents=True)
    image = Image(np.zeros((4, 4, 4), dtype=np.uint8), np.eye(4))
    write_mask(anat / "sub-1_ses-2_label-L_mask.nii.gz", image)
    write_labels(anat / "sub-1_ses-2_space-participant_desc-change_dseg.nii.gz", image)
    for name in ("label-L_mask", "space-participant_desc-change_dseg"):
        sidecar = {"Type": "Lesion", "SpatialReference": "the participant's space"}
        (anat / f"sub-1_ses-2_{name}.json").write_text(json.dumps(sidecar), encoding="utf-8")
    for name in BESIDE:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}", encoding="utf-8")
    done = subprocess.run(
        [validator, tmp_path, "--json", "--ignoreWarnings"],
        capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    issues = json.loads(done.stdout)["issues"]["issues"]
    found = [(i["code"], i.get("location")) for i in issues if i.get("severity") == "error"]
    assert found == []
