"""Real MRI of three MS patients goes through, from the layout in which it is published.

The network is the tiny one: what is tested is the way of a scan, not how good its mask is.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import ROOT, Workplace, composed

from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.imaging.reading import read_image, read_mask
from lesion_dynamics.longitudinal.measurements import read_measurements
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows import inference
from lesion_dynamics.workflows.training import run as train

REAL = Path(os.environ.get("OPEN_MS_DATA", ROOT.parent / "shared" / "open_ms_data"))
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"the open MS data are not at OPEN_MS_DATA ({REAL.name} is missing)"
)


@pytest.mark.real_data
@pytest.mark.slow
@needs_real_data
def test_all_five_scans_of_the_three_patients_are_segmented_in_native_space(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path
) -> None:
    place, _ = trained
    settings = validated(
        InferSettings,
        composed(
            "infer",
            "cohort=open_ms",
            f"cohort.root={REAL}",
            f"tracking.folder={place.folder / 'tracking'}",
            f"model_version={place.folder / 'models/lesion-segmenter'}",
            f"output={tmp_path}",
            "executor.processes=2",
        ),
    )
    result = inference.run(settings)
    assert (result.done, len(result.failures)) == (5, 0)
    table = read_measurements(result.measurements)
    assert list(table["participant_id"].value_counts().sort_index()) == [1, 2, 2]
    assert table["brain_volume_mm3"].between(1.0e6, 1.7e6).all()
    for scan in read_cohort(settings.cohort).scans:
        folder = result.folder / scan.participant_id / scan.session_id / "anat"
        stem = f"{scan.participant_id}_{scan.session_id}_label-L_mask"
        flair = read_image(scan.images["FLAIR"])
        assert read_mask(folder / f"{stem}.nii.gz").on_same_grid_as(flair)
        sidecar = json.loads((folder / f"{stem}.json").read_text(encoding="utf-8"))
        moved = np.array(sidecar["Preprocessing"]["ParticipantSpaceFromFLAIR"])
        # Sessions are brought halfway; a participant with one session stays where it is.
        assert np.allclose(moved, np.eye(4)) == (scan.participant_id == "sub-cross26")


def test_training_reads_labelled_scans_in_the_published_layout(
    workplace: Workplace, tmp_path: Path
) -> None:
    root = tmp_path / "open_ms"
    aligned = "_N4_noneck_reduced_winsor_regtoFLAIR"
    scans = sorted((workplace.data / "training").glob("sub-*/ses-*/anat/*_FLAIR.nii.gz"))[:4]
    for number, flair in enumerate(scans, start=1):
        folder = root / f"cross_sectional/MNI/patient{number:02d}"
        folder.mkdir(parents=True)
        participant = flair.name.split("_")[0]
        masks = workplace.data / "training/derivatives/reference" / participant
        (mask,) = masks.rglob("*_mask.nii.gz")
        t1w = flair.with_name(flair.name.replace("_FLAIR", "_T1w"))
        shutil.copy(flair, folder / f"FLAIR{aligned}_brain_N4_regtoMNI.nii.gz")
        shutil.copy(t1w, folder / f"T1{aligned}_brain_N4_regtoMNI.nii.gz")
        shutil.copy(mask, folder / f"GOLD_STANDARD{aligned}_regtoMNI.nii.gz")
    rows = [f"{number},30,F,RR,1.0,McDonald 2010" for number in range(1, 5)]
    header = "patient_id,age,sex,ms_type,edss,criteria"
    (root / "cross_sectional/patient_info.csv").write_text("\n".join([header, *rows]) + "\n")
    settings = workplace.training(
        "cohort=open_ms", f"cohort.root={root}", "cohort.reference_masks=null"
    )
    version = train(settings)
    participants = version.manifest.training["participants"]
    assert sorted([*participants["training"], *participants["validation"]]) == [
        f"sub-cross{number:02d}" for number in range(1, 5)
    ]
