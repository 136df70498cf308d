"""The three commands refuse bad input in one line, with status 2, before torch is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(script: str, *overrides: str, cwd: Path) -> tuple[int, str, bool]:
    """Exit status, stderr, and whether torch was loaded."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = {[str(ROOT / script), *overrides]!r}\n"
        "status = 0\n"
        "try:\n"
        f"    runpy.run_path({str(ROOT / script)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    status = end.code\n"
        "print('torch' in sys.modules)\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    return done.returncode, done.stderr.strip(), done.stdout.strip().endswith("True")


@pytest.mark.parametrize(
    ("script", "overrides", "said"),
    [
        ("train.py", ["patch.bacth=4"], ["patch.bacth", "batch, lesion_fraction, size_voxels"]),
        ("train.py", ["+patch.bacth=4"], ["override +patch.bacth=4", "Did you mean batch?"]),
        ("train.py", ["patch.batch=many"], ["override patch.batch=many", "'many'"]),
        ("train.py", ["segmenter=unett"], ["segmenter/unett", "unet"]),
        ("train.py", ["validation_fraction=1.5"], ["validation_fraction", "less than 1"]),
        ("train.py", ["cohort=bids"], ["cohort.root", "no value", "cohort.root=VALUE"]),
        ("train.py", ["cohort.root=nowhere"], ["nowhere", "no cohort folder"]),
        ("infer.py", ["executor.process=2"], ["executor.process", "processes"]),
        ("infer.py", ["model_version=no-such-name/7"], ["no-such-name/7", "train.py"]),
        ("infer.py", ["model_version=nothing"], ["model_version=nothing", "NAME/NUMBER"]),
        ("analyze.py", ["study.washout=3"], ["study.washout", "washout_days"]),
        ("analyze.py", ["cohort.root=nowhere"], ["nowhere", "no cohort folder"]),
    ],
)
def test_one_line_status_2_and_no_torch(
    script: str, overrides: list[str], said: list[str], tmp_path: Path
) -> None:
    status, stderr, torch_loaded = run(script, *overrides, cwd=tmp_path)
    assert status == 2
    assert len(stderr.splitlines()) == 1, stderr
    for part in said:
        assert part in stderr
    assert not torch_loaded
