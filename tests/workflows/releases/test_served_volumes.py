"""What MLflow's tools get from a model version is what infer.py measures."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server import predictions_to_json
from tests.conftest import Workplace
from tests.workflows.releases.tiny_version import TRAINING, make_version

from lesion_dynamics.model_version import MODEL_CARD_FILE
from lesion_dynamics.records.flavour import as_flavour
from lesion_dynamics.records.registry import register
from lesion_dynamics.records.store import open_store
from lesion_dynamics.records.training_run import TrainingRun
from lesion_dynamics.report.model_card import BLANK
from lesion_dynamics.workflows.inference import run as infer


def one_participant(source: Path, cohort: Path) -> Path:
    """A cohort of the first participant of ``source``."""
    first = sorted(source.glob("sub-*"))[0].name
    shutil.copytree(source / first, cohort / first)
    for name in ("participants.tsv", "phenotype/attacks.tsv"):
        table = pd.read_csv(source / name, sep="\t")
        (cohort / name).parent.mkdir(exist_ok=True)
        own = table[table["participant_id"] == first]
        own.to_csv(cohort / name, sep="\t", index=False, na_rep="n/a")
    return cohort


@pytest.mark.slow
def test_a_served_version_answers_with_the_volumes_of_infer(
    workplace: Workplace, tmp_path: Path
) -> None:
    version = make_version(tmp_path / "version", seed=3)
    cohort = one_participant(workplace.data / "study", tmp_path / "cohort")
    store = open_store(workplace.inference().tracking)
    run_id = TrainingRun.start(store, name="run", tags={}).run_id
    register(store, run_id=run_id, folder=tmp_path / "version")
    by_alias = [f"cohort.root={cohort}", "model_version=tiny@candidate"]
    result = infer(workplace.inference(*by_alias))
    measured = pd.read_csv(result.measurements, sep="\t")
    assert measured["lesion_volume_mm3"].sum() > 0
    # What is recorded is the number; the alias stands in none of the files.
    assert result.folder.name == "tiny-v1"
    assert set(measured["model_version"]) == {"tiny/1"}
    written = [p for p in result.folder.rglob("*") if p.is_file()]
    assert not [p for p in written if b"candidate" in p.read_bytes()]
    told = json.loads((result.folder / "lineage.json").read_text(encoding="utf-8"))
    assert told["record"]["model_versions"]["tiny/1"]["run_id"] == run_id
    stems = [
        cohort / r.participant_id / r.session_id / "anat" / f"{r.participant_id}_{r.session_id}"
        for r in measured.itertuples()
    ]
    paths = pd.DataFrame(
        {"FLAIR": [f"{s}_FLAIR.nii.gz" for s in stems], "T1w": [f"{s}_T1w.nii.gz" for s in stems]}
    )
    asked = pd.concat([paths, pd.DataFrame([{"FLAIR": str(tmp_path / "none.nii.gz")}])])
    with as_flavour(tmp_path / "version", version.manifest.segmenter) as flavour:
        served = mlflow.pyfunc.load_model(str(flavour))
        said = {"skull_stripped": True, "sequences_aligned": True}
        answer = served.predict(asked, params=said)
    assert answer["lesion_volume_mm3"][:-1].tolist() == measured["lesion_volume_mm3"].tolist()
    assert answer["lesion_count"][:-1].tolist() == measured["lesion_count"].tolist()
    last = answer.iloc[-1]
    assert pd.isna(last["lesion_volume_mm3"])
    assert last["status"] == "failed"
    assert "no such file" in last["reason"]
    wire = io.StringIO()
    predictions_to_json(answer, wire)
    sent = json.loads(wire.getvalue(), parse_constant=pytest.fail)  # NaN is no JSON
    assert sent["predictions"][-1]["lesion_volume_mm3"] is None
    assert set(answer["weights_sha256"]) == {version.manifest.weights_sha256}


def test_the_card_is_filled_from_the_manifest_and_its_blanks_are_visible(tmp_path: Path) -> None:
    version = make_version(tmp_path)
    card = (tmp_path / MODEL_CARD_FILE).read_text(encoding="utf-8")
    assert version.manifest.weights_sha256 in card
    assert "probability 0.5, lesions of at least 14 mm3, connectivity 26" in card
    assert "2 epochs of 3 steps" in card
    assert "2 training, 2 validation participants" in card
    assert "| MS | 2 | 0.66 | -32 |" in card
    assert "| NMOSD | 2 | 0.56 | n/a |" in card
    assert "torch 2.0.0" in card
    assert "c" * 40 in card
    assert "d" * 32 in card
    for item in ("[3, 4, 41]", "[11]", "[18]", "[33]", "[44]"):
        assert any(item in line for line in card.splitlines()), item
    assert card.count(BLANK) >= 12


def test_the_card_says_that_the_data_differed_from_their_pin(tmp_path: Path) -> None:
    data = {**TRAINING["data"], "state": "modified"}
    make_version(tmp_path, training={**TRAINING, "data": data})
    card = (tmp_path / MODEL_CARD_FILE).read_text(encoding="utf-8")
    assert f"`{data['dvc_md5']}` (the files were modified against it)" in card
