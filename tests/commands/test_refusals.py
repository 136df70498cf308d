"""The commands refuse bad input in one line, with status 2, before torch is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.commands.command_line import run


@pytest.mark.parametrize(
    ("script", "overrides", "said"),
    [
        ("train.py", ["patch.bacth=4"], ["patch.bacth", "batch, final_batch, final_fraction"]),
        ("train.py", ["+patch.bacth=4"], ["override +patch.bacth=4", "Did you mean batch?"]),
        ("train.py", ["patch.batch=many"], ["override patch.batch=many", "'many'"]),
        ("train.py", ["segmenter=unett"], ["segmenter/unett", "unet"]),
        ("train.py", ["experiment=null"], ["Config group override", "NoneType", "see conf/"]),
        ("train.py", ["validation_fraction=1.5"], ["validation_fraction", "less than 1"]),
        ("train.py", ["cohort=bids"], ["cohort.root", "no value", "cohort.root=VALUE"]),
        ("train.py", ["cohort.root=nowhere"], ["nowhere", "no cohort folder"]),
        ("train.py", ["-m", "trainer.devices=2,3", "patch.batch=6"], ["devices=2", "2 processes"]),
        ("search.py", ["overrides=['trainer.devices=2']"], ["overrides: ", "2 processes"]),
        ("infer.py", ["executor.process=2"], ["executor.process", "processes"]),
        ("infer.py", ["model_version=no-such-name/7"], ["no-such-name/7", "train.py"]),
        ("infer.py", ["model_version=nothing"], ["model_version=nothing", "NAME/NUMBER"]),
        ("train.py", ["early_stopping_patience=3"], ["Did you mean trainer.early_stopping_pa"]),
        ("analyze.py", ["cohort.manifest=a.tsv"], ["No file of conf/", "+cohort.manifest=..."]),
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
