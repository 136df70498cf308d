"""Every infer.py of docs/cluster.md validates."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess

import pytest
from tests.conftest import ROOT, composed
from tests.docs.documents import OF_THE_JOB

from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.objects.mirror import is_remote, url_of

TEXT = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
PAGE = TEXT.replace("\\\n", " ")
for name, value in OF_THE_JOB.items():
    PAGE = PAGE.replace(name, value)
COMMANDS = [
    shlex.split(found) for found in re.findall(r"python infer\.py (.*=.*)$", PAGE, re.MULTILINE)
]


@pytest.mark.parametrize("overrides", COMMANDS, ids=" ".join)
def test_the_commands_of_the_page_validate(overrides: list[str]) -> None:
    settings = validated(InferSettings, composed("infer", *overrides))
    if settings.part is not None:
        assert (settings.part_numbers, settings.executor.processes) == ((3, 16), 16)
        assert f"/shared/derivatives/{settings.cohort_folder}/lesion-segmenter-v1/" in PAGE.replace(
            "<cohort>", settings.cohort.name
        )
        return
    assert settings.executor.kind == "ray" or is_remote(settings.output)
    if is_remote(settings.output):
        assert url_of(settings.output) == "s3://bucket/derivatives"
        assert url_of(settings.cohort.root) == "s3://bucket/cohort"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_scripts_of_the_page_are_scripts() -> None:
    """Both were run to their end on a cluster; here bash reads them."""
    scripts = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", TEXT, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_page_has_them() -> None:
    assert len(COMMANDS) == 4
