"""The longitudinal mode of inference: outputs of their own, and a refusal where it cannot work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.conftest import Workplace

from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.longitudinal.measurements import combine_measurements, read_measurements
from lesion_dynamics.model_version import LONGITUDINAL, ModelVersion
from lesion_dynamics.records.derivatives import scan_key
from lesion_dynamics.workflows import inference, inference_worker

MODE = ("cohort.session_alignment=rigid", "longitudinal=shared")


@pytest.fixture
def place(trained: tuple[Workplace, ModelVersion], tmp_path: Path) -> Workplace:
    """A workplace with its own copy of one study participant and the trained version."""
    shutil.copytree(trained[0].folder / "models", tmp_path / "models")
    source, target = trained[0].data / "study", tmp_path / "data/study"
    participants = pd.read_csv(source / "participants.tsv", sep="\t", dtype=str).head(1)
    target.mkdir(parents=True)
    participants.to_csv(target / "participants.tsv", sep="\t", index=False)
    shutil.copy(source / "dataset_description.json", target)
    name = participants["participant_id"].iloc[0]
    shutil.copytree(source / name, target / name)
    return Workplace(tmp_path, tmp_path / "data")


def test_the_mode_needs_aligned_sessions(place: Workplace) -> None:
    with pytest.raises(ConfigurationError, match="session_alignment=rigid"):
        place.inference("longitudinal=shared")


@pytest.mark.slow
def test_outputs_of_the_two_modes_never_mix(place: Workplace) -> None:
    shared = inference.run(place.inference(*MODE))
    assert shared.failures == ()
    assert shared.done == 2
    assert shared.folder.name == "lesion-segmenter-v1-longitudinal"
    table = read_measurements(shared.measurements)
    assert set(table["model_version"]) == {"lesion-segmenter/1-longitudinal"}
    for path in shared.folder.glob("sub-*/ses-*/anat/*_mask.json"):
        sidecar = json.loads(path.read_text())
        assert sidecar["ModelVersion"] == "lesion-segmenter/1-longitudinal"
        assert sidecar["Preprocessing"]["SessionsInformEachOther"] is True
    assert inference.run(place.inference(*MODE)).kept == 2
    other = table.assign(model_version="lesion-segmenter/1")
    both = combine_measurements([table, other], where="here")
    assert both["model_version"].nunique() == 2


def test_the_mode_is_part_of_a_scans_key(trained: tuple[Workplace, ModelVersion]) -> None:
    version = trained[1]
    mode = ModelVersion(
        version.name, version.number, version.manifest, version.weights, LONGITUDINAL
    )
    assert scan_key({}, version) != scan_key({}, mode)


def test_every_session_informs_the_others_and_one_that_fails_is_left_out(
    trained: tuple[Workplace, ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker hands all sessions over; the one without a probability has failed."""
    seen: list[int] = []

    class Segmenter:
        settings = trained[1].manifest.segmenter

        def probability(self, prepared: str) -> Image:
            if prepared == "bad":
                raise MemoryError("too little")
            return Image(np.zeros((2, 2, 2), dtype=np.float32), np.eye(4))

    def counted(scans: list[str], images: list[Image], *, intensity: object) -> list[Image]:
        seen.append(len(scans))
        return images

    monkeypatch.setattr(inference_worker, "consistent_probabilities", counted)
    worker = inference_worker._Worker(Segmenter(), trained[1], None, "none", None)  # type: ignore[arg-type]
    outcomes: dict[tuple[str, str], inference_worker.Outcome] = {}
    prepared = {("sub-1", "ses-1"): "a", ("sub-1", "ses-2"): "bad", ("sub-1", "ses-3"): "c"}
    found = inference_worker._shared(worker, prepared, outcomes)  # type: ignore[arg-type]
    assert seen == [2]
    assert set(found) == {("sub-1", "ses-1"), ("sub-1", "ses-3")}
    assert "MemoryError" in str(outcomes[("sub-1", "ses-2")])
