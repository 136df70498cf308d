"""What MLflow's tools get from a registered version is what infer.py measures."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pandas as pd
import pytest
from tests.conftest import Workplace

from lesion_dynamics.model_version import MODEL_CARD_FILE, ModelVersion
from lesion_dynamics.report.model_card import BLANK
from lesion_dynamics.workflows.inference import run as infer


def test_a_served_version_answers_with_the_volumes_of_infer(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, version = trained
    first = sorted((place.data / "study").glob("sub-*"))[0].name
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    for name in ("participants.tsv", "phenotype", first, "dataset_description.json"):
        if (place.data / "study" / name).exists():
            (cohort / name).symlink_to(place.data / "study" / name)
    table = pd.read_csv(place.data / "study" / "participants.tsv", sep="\t")
    (cohort / "participants.tsv").unlink()
    table[table["participant_id"] == first].to_csv(
        cohort / "participants.tsv", sep="\t", index=False
    )
    result = infer(place.inference(f"cohort.root={cohort}", f"output={tmp_path / 'out'}"))
    measured = pd.read_csv(result.measurements, sep="\t")
    anat = [cohort / r.participant_id / r.session_id / "anat" for r in measured.itertuples()]
    stems = [f"{r.participant_id}_{r.session_id}" for r in measured.itertuples()]
    paths = pd.DataFrame(
        {
            "FLAIR": [str(a / f"{s}_FLAIR.nii.gz") for a, s in zip(anat, stems, strict=True)],
            "T1w": [str(a / f"{s}_T1w.nii.gz") for a, s in zip(anat, stems, strict=True)],
        }
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place.folder / 'tracking/mlflow.db'}")
    served = mlflow.pyfunc.load_model(f"models:/{version.label}")
    said = {"skull_stripped": True, "sequences_aligned": True}
    with_missing = pd.concat([paths, pd.DataFrame([{"FLAIR": str(tmp_path / "none.nii.gz")}])])
    answer = served.predict(with_missing, params=said)
    assert answer["lesion_volume_mm3"][:-1].tolist() == measured["lesion_volume_mm3"].tolist()
    assert answer["lesion_count"][:-1].tolist() == measured["lesion_count"].tolist()
    assert measured["lesion_volume_mm3"].sum() > 0
    last = answer.iloc[-1]
    assert pd.isna(last["lesion_volume_mm3"]) and last["status"] == "failed"
    assert "no such file" in last["reason"]
    assert set(answer["weights_sha256"]) == {version.manifest.weights_sha256}


def test_a_training_leaves_a_card_filled_from_its_manifest(
    trained: tuple[Workplace, ModelVersion],
) -> None:
    _, version = trained
    card = (version.weights.parent / MODEL_CARD_FILE).read_text(encoding="utf-8")
    manifest = version.manifest
    assert manifest.weights_sha256 in card
    assert f"probability {manifest.operating_point.probability_threshold:g}" in card
    assert "2 epochs of 3 steps" in card
    ms = manifest.validation["by_diagnosis"]["MS"]
    assert f"| MS | {ms['scan_count']} | " in card
    assert f"{ms['mean_volume_difference_mm3']:+.0f}" in card
    assert manifest.training["machine"]["torch"] in card
    for item in ("[3, 4, 41]", "[20]", "[33]", "[44]"):
        assert item in card or item.strip("[]") in card
    assert card.count(BLANK) >= 12
