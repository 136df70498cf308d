"""The commands ``import`` and ``register-masks``: what they take, write, say and refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tests.conftest import composed
from tests.importers import upstream_trees
from tests.importers.upstream_trees import PhantomScan

from lesion_dynamics.commands.__main__ import COMMANDS, main
from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.settings.check import CheckSettings
from lesion_dynamics.settings.outside_masks import RegisterMasksSettings
from lesion_dynamics.settings.strict import validated


@pytest.fixture(scope="session")
def scan(small_phantom: Path) -> PhantomScan:
    return PhantomScan.all_of(small_phantom)[0]


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        ("isbi2015", ["--rater", "union"]),
        ("isbi2015", ["--images", "orig"]),
        ("mslesseg", []),
        ("msseg2", []),
        ("nnunet", ["--case-id", "(?P<participant>.+)_v(?P<session>[0-9])", "--skull-stripped"]),
        ("open_ms", []),
    ],
)
def test_an_imported_cohort_passes_the_check(
    tmp_path: Path, scan: PhantomScan, layout: str, options: list[str]
) -> None:
    from lesion_dynamics.workflows.check import check

    upstream = getattr(upstream_trees, layout)(tmp_path / "up", scan)
    folder = tmp_path / "cohort"
    assert main(["import", layout, str(upstream), str(folder), *options]) == 0
    own = ["cohort=manifest", "cohort.name=own", f"cohort.root={folder}", "processes=1",
           f"output={tmp_path / 'check'}"]  # fmt: skip
    result = check(validated(CheckSettings, composed("check", *own)))
    assert result.exclusions == ()
    # The tree repeats one scan of the phantom; what else is found is said, and never an error.
    doubts = {f.kind: f.severity for f in result.findings if f.kind != "same-image"}
    assert set(doubts.values()) <= {"note"}, doubts
    manifest = pd.read_csv(folder / "manifest.tsv", sep="\t", keep_default_na=False)
    undated = manifest[manifest["days_from_baseline"] == "n/a"]
    said = {(f.participant_id, f.session_id) for f in result.findings if f.kind == "day-unknown"}
    assert said == set(zip(undated["participant_id"], undated["session_id"], strict=True))
    reasons = result.remission.table.query("unit == 'scan'").set_index("reason")["count"]
    assert reasons.get("its day is unknown", 0) == len(undated)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: LAYOUT"),
        (["isbi", "a", "b"], "invalid choice: 'isbi'"),
        (["isbi2015", "a"], "required: folder"),
        (["isbi2015", "nowhere", "b"], "nowhere: there is no such folder"),
        (["msseg2", "--rater", "1", "a", "b"], "unrecognized arguments"),
        (["isbi2015", "--rater", "3", "a", "b"], "invalid choice: '3'"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_the_commands_are_listed() -> None:
    assert {"import", "register-masks"} <= set(COMMANDS)


def test_masks_are_registered_from_the_command_line(small_phantom: Path, tmp_path: Path) -> None:
    pattern = "{participant_id}/{session_id}/anat/{participant_id}_{session_id}_label-L_mask.nii.gz"
    arguments = [
        "register-masks", "cohort=study", f"cohort.root={small_phantom / 'study'}", "name=rater",
        "tool=manual", "tool_version='2025'", f"masks='{small_phantom / 'truth/study' / pattern}'",
        "rule.label=[1]", f"output={tmp_path / 'derivatives'}",
    ]  # fmt: skip
    command = [sys.executable, "-m", "lesion_dynamics.commands", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rater/1 is manual 2025, masks registered from outside" in done.stderr
    assert (tmp_path / "derivatives/study/rater-v1/lesion_measurements.tsv").is_file()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tool_version": 1.1}, r"1\.10 would be read as the number 1\.1; quote it"),
        ({"rule": {"label": "any", "threshold": 0.5}}, "label and threshold exclude each other"),
        ({"rule": {"label": "lesion"}}, "rule.label"),
        ({"name": "1st"}, "name"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    changed: dict[str, object], message: str
) -> None:
    needed = ["name=lst-ai", "tool=LST-AI", "tool_version=1.2.0", "masks=masks.tsv"]
    values = composed("register_masks", *needed)
    assert validated(RegisterMasksSettings, values).tool_version == "1.2.0"
    with pytest.raises(ConfigurationError, match=message):
        validated(RegisterMasksSettings, values | changed)
