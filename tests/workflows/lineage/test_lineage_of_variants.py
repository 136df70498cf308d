"""What changes a mask on purpose, and what ran the networks, stand in the lineage."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.workflows.releases.tiny_version import make_version

from lesion_dynamics.combined_version import combined
from lesion_dynamics.longitudinal.measurements import FILE_NAME
from lesion_dynamics.model_version import LONGITUDINAL
from lesion_dynamics.records.lineage_file import read_lineage
from lesion_dynamics.workflows.lineage.chain import chain
from lesion_dynamics.workflows.lineage.told import as_text
from lesion_dynamics.workflows.lineage.written import write_inference_lineage


def test_members_mirrored_scans_mode_and_engines_are_recorded(tmp_path: Path) -> None:
    members = [
        make_version(tmp_path / f"v{number}", name="segmenter", number=number, seed=number)
        for number in (1, 2)
    ]
    version = replace(combined(members, tta="flips"), mode=LONGITUDINAL)
    folder = tmp_path / version.folder_name
    folder.mkdir()
    (folder / FILE_NAME).write_text("", encoding="utf-8")
    sidecars = [folder / f"{number}.json" for number in range(4)]
    for path, engine in zip(sidecars, ("torch", "openvino", "torch"), strict=False):
        path.write_text(json.dumps({"Engine": engine}), encoding="utf-8")
    write_inference_lineage(folder, version, input_hashes={}, settings={}, sidecars=sidecars)
    said = read_lineage(folder)
    assert said is not None
    assert said["record"]["settings"] == {
        "model_version": "segmenter/1+segmenter/2+flips-longitudinal",
        "tta": "flips",
        "mode": "longitudinal",
        "engines": ["openvino", "torch"],
    }
    versions = said["record"]["model_versions"]
    assert {name: own["weights_sha256"] for name, own in versions.items()} == {
        one.label: one.manifest.weights_sha256 for one in members
    }
    text = as_text(chain(folder / FILE_NAME))
    assert "by segmenter/1+segmenter/2+flips-longitudinal" in text
    assert "networks run by openvino, torch" in text
