"""From Python: docs/python.md runs, and gives what infer.py gives."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tests.conftest import ROOT, Workplace, composed

from lesion_dynamics import api
from lesion_dynamics.errors import ConfigurationError, ModelVersionError, ScanError
from lesion_dynamics.longitudinal.measurements import read_measurements
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.settings.inference import InferSettings

PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def place(
    trained: tuple[Workplace, ModelVersion], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with one participant of the phantom, called as in the page, and the version."""
    folder = tmp_path_factory.mktemp("python")
    shutil.copytree(trained[0].folder / "models", folder / "models")
    source, target = trained[0].data / "study", folder / "data/study"
    table = pd.read_csv(source / "participants.tsv", sep="\t", dtype=str)
    table = table[table["participant_id"] == "sub-ms01"]
    shutil.copytree(source / "sub-ms01", target / "sub-ms01")
    table.to_csv(target / "participants.tsv", sep="\t", index=False)
    shutil.copy(source / "dataset_description.json", target)
    attacks = pd.read_csv(source / "phenotype/attacks.tsv", sep="\t", dtype=str)
    (target / "phenotype").mkdir()
    attacks[attacks["participant_id"] == "sub-ms01"].to_csv(
        target / "phenotype/attacks.tsv", sep="\t", index=False
    )
    return folder


def test_the_examples_of_the_page_run_and_agree_with_each_other(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    scan: dict[str, object] = {"__name__": "__main__"}
    cohort: dict[str, object] = {"__name__": "__main__"}
    assert len(EXAMPLES) == 3
    exec(EXAMPLES[0], scan)
    exec(EXAMPLES[1], cohort)
    exec(EXAMPLES[2], {})
    assert "no_such_FLAIR.nii.gz" in capsys.readouterr().out
    result, done = scan["result"], cohort["done"]
    assert isinstance(result, api.ScanResult)
    assert isinstance(done, api.CohortResult)
    assert done.failures == ()
    row = done.measurements.set_index("session_id").loc["ses-01"]
    assert row["model_version"] == result.model_version == "lesion-segmenter/1"
    for column in ("lesion_volume_mm3", "lesion_count", "brain_volume_mm3"):
        assert row[column] == getattr(result, column), column
    written = done.folder / "sub-ms01/ses-01/anat/sub-ms01_ses-01_label-L_mask.nii.gz"
    assert (place / "lesions.nii.gz").read_bytes() == written.read_bytes()
    probability = written.with_name(written.name.replace("_mask", "_probseg"))
    assert (place / "probability.nii.gz").read_bytes() == probability.read_bytes()
    table = read_measurements(done.folder / "lesion_measurements.tsv")
    pd.testing.assert_frame_equal(table, done.measurements)


def test_the_defaults_are_those_of_the_command() -> None:
    assert composed("infer")["quality"] == api.QUALITY


def test_a_call_can_say_what_the_command_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[InferSettings] = []

    def note(settings: InferSettings) -> None:
        told.append(settings)
        raise ScanError("noted", where="", remedy="")

    monkeypatch.setattr("lesion_dynamics.workflows.inference.run", note)
    chosen = {"engine": "torch", "tta": "flips", "longitudinal": "shared", "mni": "affine"}
    with pytest.raises(ScanError, match="noted"):
        api.segment_cohort(tmp_path, name="c", **chosen)  # type: ignore[arg-type]
    assert {name: getattr(told[0], name) for name in chosen} == chosen
    version = api._resolved(api.SHIPPED, tmp_path, tta="flips")
    assert version.label == "lesion-baseline/1+flips"
    assert not any(tmp_path.iterdir())  # for one scan no store is made


def test_what_is_wrong_is_said_before_anything_heavy(place: Path, tmp_path: Path) -> None:
    flair = place / "data/study/sub-ms01/ses-01/anat/sub-ms01_ses-01_FLAIR.nii.gz"
    with pytest.raises(ConfigurationError, match="unknown key skull_striped"):
        api.segment_scan(flair, prepared={"skull_striped": True})
    with pytest.raises(ModelVersionError, match="not a model version"):
        api.segment_scan(flair, model_version="nothing")
    with pytest.raises(ConfigurationError, match="tta"):
        api.segment_scan(flair, tta="turns")  # type: ignore[arg-type]
    with pytest.raises(ScanError):
        api.segment_scan(tmp_path / "absent_FLAIR.nii.gz")
    with pytest.raises(ConfigurationError, match="processes"):
        api.segment_cohort(place / "data/study", name="study", processes=-1)
