"""Every infer.py of docs/cluster.md validates."""

from __future__ import annotations

import re
import shlex

import pytest
from tests.conftest import ROOT, composed

from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.objects.mirror import is_remote, url_of

PAGE = (ROOT / "docs/cluster.md").read_text(encoding="utf-8").replace("\\\n", " ")
COMMANDS = [
    shlex.split(found) for found in re.findall(r"python infer\.py (.*=.*)$", PAGE, re.MULTILINE)
]


@pytest.mark.parametrize("overrides", COMMANDS, ids=" ".join)
def test_the_commands_of_the_page_validate(overrides: list[str]) -> None:
    settings = validated(InferSettings, composed("infer", *overrides))
    assert settings.executor.kind == "ray" or is_remote(settings.output)
    if is_remote(settings.output):
        assert url_of(settings.output) == "s3://bucket/derivatives"
        assert url_of(settings.cohort.root) == "s3://bucket/cohort"


def test_the_page_has_them() -> None:
    assert len(COMMANDS) == 3
