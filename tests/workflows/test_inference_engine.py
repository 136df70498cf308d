"""The knobs of the engine in a whole inference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import Workplace

from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.segmenter.engines import choice
from lesion_dynamics.workflows.inference import run


@pytest.mark.slow
def test_the_sidecar_names_the_engine_and_mirrored_scans_have_a_folder_of_their_own(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path
) -> None:
    place = replace(trained[0])
    result = run(place.inference("engine=torch", "tta=flips", f"output={tmp_path}"))
    assert result.folder.name == f"{trained[1].folder_name}+flips"
    sidecars = sorted(result.folder.rglob("*_label-L_mask.json"))
    assert len(sidecars) == result.done > 0
    for path in sidecars:
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["Engine"].startswith("torch ")
        assert record["ModelVersion"] == f"{trained[1].label}+flips"


def test_an_engine_that_is_not_installed_is_refused_before_anything_is_read(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="engine=openvino"):
        run(workplace.inference("engine=openvino"))
