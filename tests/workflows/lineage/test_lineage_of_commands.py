"""What commands make from folders with a lineage leads back through them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.workflows.releases.tiny_version import TRAINING, make_version

from lesion_dynamics.atomic_files import hash_of_file
from lesion_dynamics.longitudinal.measurements import FILE_NAME
from lesion_dynamics.model_version import load_model_version
from lesion_dynamics.records.lineage_file import read_lineage
from lesion_dynamics.settings.measuring import MeasureMasksSettings, RethresholdSettings
from lesion_dynamics.workflows.initial_version import chain_from
from lesion_dynamics.workflows.lineage.chain import chain
from lesion_dynamics.workflows.lineage.derived import every_file, write_derived_lineage
from lesion_dynamics.workflows.lineage.told import as_text
from lesion_dynamics.workflows.lineage.written import write_inference_lineage


@pytest.fixture
def inferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of infer.py."""
    monkeypatch.chdir(tmp_path)
    version = make_version(tmp_path / "version", name="segmenter", number=3)
    folder = Path("derivatives/study/segmenter-v3")
    folder.mkdir(parents=True)
    (folder / FILE_NAME).write_text("a\n", encoding="utf-8")
    write_inference_lineage(folder, version, input_hashes={}, settings={})
    return folder


def test_a_fine_tuned_version_tells_every_version_before_it(tmp_path: Path) -> None:
    first = make_version(tmp_path / "first", name="first")
    for name, before in (("second", first), ("third", None)):
        before = before or load_model_version(tmp_path / "second")
        made = {**TRAINING, "initial_model_version": chain_from(before), "key": name * 3}
        make_version(tmp_path / name, name=name, training=made, seed=len(name))
    text = as_text(chain(tmp_path / "third"))
    second = load_model_version(tmp_path / "second")
    started = [line.strip() for line in text.splitlines() if "started from" in line]
    assert started == [
        f"started from {one.label}, weights {one.manifest.weights_sha256[:12]}, training {key}"
        for one, key in ((second, "secondsecond"), (first, "k" * 12))
    ]


def write(folder: Path, made_from: Path, *, command: str, file: str = "lineage.json") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    table = folder / f"{command}.tsv"
    table.write_text(command, encoding="utf-8")
    settings = RethresholdSettings(derivatives=made_from, threshold=0.4, processes=1)
    write_derived_lineage(
        folder, command=command, source=("lesions",), outputs=[table], settings=settings,
        made_from=[made_from], file=file,
    )  # fmt: skip
    return table


def test_a_table_of_a_table_leads_back_through_both_to_the_training(inferred: Path) -> None:
    other = inferred.with_name("segmenter-v3+t0.4")
    write(other, inferred, command="rethreshold")
    table = write(other / "pages", other, command="scan-pages")
    steps = chain(table)
    assert [(s["step"], s.get("command")) for s in steps] == [
        ("file", None),
        ("analysis", "lesion-dynamics scan-pages"),
        ("analysis", "lesion-dynamics rethreshold"),
        ("inference", "infer.py"),
        ("model version", None),
        ("training", None),
    ]
    assert steps[0]["state"] == "as recorded"
    assert steps[1]["settings"]["threshold"] == 0.4
    assert str(inferred / FILE_NAME) in steps[2]["inputs_sha256"]
    text = as_text(steps)
    assert "made by lesion-dynamics rethreshold into derivatives/study/segmenter-v3+t0.4" in text
    assert "model version segmenter/3" in text


def test_a_second_lineage_in_a_folder_is_that_of_its_own_files(inferred: Path) -> None:
    table = write(inferred, inferred, command="track", file="lineage_track.json")
    assert chain(table)[1]["command"] == "lesion-dynamics track"
    assert chain(inferred / FILE_NAME)[1]["command"] == "infer.py"
    table.write_text("changed", encoding="utf-8")
    assert chain(table)[0]["state"] == "changed since"
    assert every_file(inferred) == [inferred / FILE_NAME, table]


def test_nothing_of_this_machine_stands_in_it(inferred: Path, tmp_path: Path) -> None:
    settings = MeasureMasksSettings(
        masks=tmp_path / inferred, output=tmp_path / "volumes.tsv", label="x/1", processes=3
    )
    write_derived_lineage(
        tmp_path, command="measure-masks", source=("lesions",), outputs=[tmp_path / "gone.tsv"],
        settings=settings, made_from=[tmp_path / inferred], file="lineage_volumes.json",
    )  # fmt: skip
    said = read_lineage(tmp_path, "lineage_volumes.json")
    assert said is not None
    assert said["record"]["settings"]["masks"] == str(inferred)
    assert said["record"]["outputs_sha256"] == {}
    assert not {"processes", "output"} & said["record"]["settings"].keys()
    assert str(tmp_path) not in (tmp_path / "lineage_volumes.json").read_text(encoding="utf-8")
    made = said["record"]["inputs"]["derivatives"][str(inferred)]
    assert made["lineage_sha256"] == hash_of_file(inferred / "lineage.json")


def test_a_corrected_mask_says_who_made_it_from_what(tmp_path: Path) -> None:
    mask = tmp_path / "sub-1_ses-1_label-L_mask.nii.gz"
    mask.write_bytes(b"voxels")
    mask.with_name("sub-1_ses-1_label-L_mask.json").write_text(
        '{"CorrectedBy": "rater1", "CorrectedOn": "2026-01-02", "FromModelVersion": "s/2",'
        ' "FromWeightsSHA256": "abcdef0123456789", "Sources": ["bids:raw:sub-1"]}',
        encoding="utf-8",
    )
    assert as_text(chain(mask)).splitlines()[1:] == [
        "corrected by rater1 on 2026-01-02",
        "  from the mask of s/2, weights abcdef012345",
        "  for bids:raw:sub-1",
    ]
