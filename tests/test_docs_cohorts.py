"""The commands of docs/cohorts.md are right: imports and DVC run, the others validate."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT, composed
from tests.importers import upstream_trees
from tests.importers.upstream_trees import PhantomScan

from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.commands.__main__ import main
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.check import CheckSettings
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.outside_masks import RegisterMasksSettings
from lesion_dynamics.settings.strict import Strict, validated
from lesion_dynamics.settings.training import TrainSettings

PAGE = (ROOT / "docs" / "cohorts.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [shlex.split(line) for block in BLOCKS for line in block.splitlines()]
CONFIGURED: dict[tuple[str, str], tuple[str, type[Strict]]] = {
    ("python", "infer.py"): ("infer", InferSettings),
    ("python", "analyze.py"): ("analyze", AnalyzeSettings),
    ("python", "train.py"): ("train", TrainSettings),
    ("lesion-dynamics", "check"): ("check", CheckSettings),
    ("lesion-dynamics", "register-masks"): ("register_masks", RegisterMasksSettings),
}
OPEN_MS = "https://github.com/muschellij2/open_ms_data"


def commands(*start: str) -> list[list[str]]:
    return [command for command in COMMANDS if tuple(command[: len(start)]) == start]


def test_every_command_is_of_a_kind_that_is_tried_here() -> None:
    kinds = {tuple(command[:2]) for command in COMMANDS}
    ours = {*CONFIGURED, ("lesion-dynamics", "import")}
    assert {kind for kind in kinds if kind[0] not in ("git", "dvc")} == ours
    assert sum(len(commands(*kind)) for kind in kinds) == len(COMMANDS)


@pytest.mark.parametrize(
    "command", [c for kind in CONFIGURED for c in commands(*kind)], ids=" ".join
)
def test_commands_with_a_configuration_validate(command: list[str]) -> None:
    name, schema = CONFIGURED[command[0], command[1]]
    validated(schema, composed(name, *command[2:]))


def test_every_import_gives_a_cohort(
    small_phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = PhantomScan.all_of(small_phantom)[0]
    monkeypatch.chdir(tmp_path)
    for layout, folder in (
        ("isbi2015", "isbi2015"), ("msseg2", "msseg2"), ("mslesseg", "mslesseg"),
        ("open_ms", "open_ms_data"), ("nnunet", "nnUNet_raw"),
    ):  # fmt: skip
        getattr(upstream_trees, layout)(tmp_path / "data" / folder, scan)
    imports = commands("lesion-dynamics", "import")
    assert {command[2] for command in imports} == {
        "isbi2015", "msseg2", "mslesseg", "open_ms", "nnunet",
    }  # fmt: skip
    for command in imports:
        given = [word.replace("/data/", f"{tmp_path}/data/") for word in command[1:]]
        assert main(given) == 0, command
    values = composed("infer", *commands("python", "infer.py")[-1][2:])
    cohort = read_cohort(validated(InferSettings, values).cohort)
    assert len(cohort.scans) == 3


def run(*command: str, folder: Path) -> None:
    given = [sys.executable, "-m", "dvc", *command[1:]] if command[0] == "dvc" else list(command)
    done = subprocess.run(given, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


@pytest.mark.slow
def test_dvc_fetches_from_git_and_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {
        "DVC_NO_ANALYTICS": "1", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.c",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.c",
    }.items():  # fmt: skip
        monkeypatch.setenv(key, value)
    upstream, here = tmp_path / "upstream", tmp_path / "here"
    for part in ("cross_sectional", "longitudinal"):
        (upstream / part).mkdir(parents=True)
        (upstream / part / "patient_info.csv").write_text("patient_id\n7\n")
    for command in (("init",), ("add", "."), ("commit", "-m", "Data")):
        run("git", *command, folder=upstream)
    (here / "mine").mkdir(parents=True)
    (here / "mine" / "manifest.tsv").write_text("participant_id\n")
    pinning = [c for c in COMMANDS if c[0] in ("git", "dvc") and OPEN_MS not in c]
    fetching = [c for c in COMMANDS if OPEN_MS in c]
    assert [c[1] for c in fetching] == ["get", "import"]
    for command in [*pinning, *fetching]:
        target = [str(upstream) if word == OPEN_MS else word for word in command]
        (here / "open_ms_data").mkdir(exist_ok=True)
        run(*target, folder=here)
    assert "md5" in (here / "mine.dvc").read_text()
    assert "rev_lock" in (here / "cross_sectional.dvc").read_text()
    assert (here / "open_ms_data" / "longitudinal" / "patient_info.csv").is_file()
    shutil.rmtree(here / "mine")
    run("dvc", "checkout", "mine.dvc", folder=here)
    assert (here / "mine" / "manifest.tsv").read_text() == "participant_id\n"
