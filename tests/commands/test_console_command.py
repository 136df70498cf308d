"""The console command: its list of commands at once, errors in one line, the statuses of all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT

from lesion_dynamics.commands.__main__ import COMMANDS, main, module_of
from lesion_dynamics.commands.configured import configuration_folder
from lesion_dynamics.errors import ConfigurationError


def lesion_dynamics(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lesion_dynamics.commands", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip


def test_the_list_of_commands_needs_nothing_heavy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown and what in shown for name, what in COMMANDS.items())
    code = (
        "import sys\nfrom lesion_dynamics.commands.__main__ import main\nmain(['--help'])\n"
        "heavy = {'hydra', 'numpy', 'pandas', 'nibabel', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_has_its_file() -> None:
    folder = ROOT / "src" / "lesion_dynamics" / "commands"
    for name in COMMANDS:
        module = module_of(name).rsplit(".", 1)[1]
        assert (folder / f"{module}.py").is_file()
        if name != "import":  # takes shell options: it has no settings of a study
            assert (ROOT / "conf" / f"{module}.yaml").is_file()


def test_the_version_and_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("lesion-dynamics ")
    assert main(["chekc"]) == 2
    said = capsys.readouterr().err
    assert said == (
        "lesion-dynamics chekc: there is no such command."
        f" Did you mean check? Commands: {', '.join(COMMANDS)}.\n"
    )
    assert main([]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pixel=false"], ["override pixel", "optional_sequences"]),
        (["pixels=maybe"], ["override pixels=maybe", "'maybe'"]),
        (["optional_sequences=[T2]"], ["optional_sequences", "'T2'"]),
        (["cohort=bids"], ["cohort.root", "cohort.root=VALUE"]),
        (["cohort.root=nowhere"], ["nowhere", "no cohort folder"]),
        (["cohort=bids", "cohort.root=.", "cohort.prefer=[best]"], ["cohort.prefer", "'best'"]),
    ],
)
def test_a_wrong_input_ends_in_one_line_and_status_2(
    arguments: list[str], said: list[str], tmp_path: Path
) -> None:
    (tmp_path / "participants.tsv").write_text("participant_id\tdiagnosis\nsub-1\tMS\n")
    done = lesion_dynamics("check", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for part in said:
        assert part in done.stderr


def test_the_check_of_a_cohort_with_findings_ends_well(small_phantom: Path, tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    shutil.copytree(small_phantom / "study", cohort)
    first, second, *_ = sorted(cohort.glob("sub-*/ses-*/anat/*_FLAIR.nii.gz"))
    shutil.copy(first, second)
    done = lesion_dynamics(
        "check", "cohort=study", f"cohort.root={cohort}", "cohort.name=mine", "pixels=false",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 same-image" in done.stdout
    written = {path.name for path in (tmp_path / "results/mine/check").iterdir()}
    assert written == {
        "summary.txt", "scans.tsv", "exclusions.tsv", "findings.tsv", "intervals.tsv",
        "lineage.json",
    }  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"cohort", "results"}


def test_the_configuration_is_found_in_the_checkout_then_here_or_refused(tmp_path: Path) -> None:
    checkout, here = tmp_path / "checkout", tmp_path / "here"
    (here / "conf").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"there is no conf/check\.yaml"):
        configuration_folder("check", checkout=checkout, here=here)
    (here / "conf" / "check.yaml").touch()
    assert configuration_folder("check", checkout=checkout, here=here) == here / "conf"
    (checkout / "conf").mkdir(parents=True)
    (checkout / "conf" / "check.yaml").touch()
    assert configuration_folder("check", checkout=checkout, here=here) == checkout / "conf"
