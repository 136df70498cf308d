"""Every command and every path that README and docs show is one that there is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conf.test_configuration import ROOTS
from tests.conftest import ROOT, composed
from tests.docs.documents import ELSEWHERE, OURS, PAGES, Command, commands, inline

from lesion_dynamics.commands.__main__ import COMMANDS
from lesion_dynamics.settings.strict import validated

ALL = commands()
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
FOLDERS = ("src/", "conf/", "docs/", "tests/", "benchmarks/", "container/")


def started(program: str) -> list[Command]:
    return [one for one in ALL if one.words and one.words[0] == program]


def configured() -> list[tuple[Command, str, tuple[str, ...]]]:
    """Commands that take overrides: the command, its configuration's name, the overrides."""
    found = []
    for one in ALL:
        program, *rest = one.words or ("",)
        name = rest[0].removesuffix(".py").replace("-", "_") if rest else ""
        if program in ("python", "lesion-dynamics") and name in ROOTS and "--help" not in rest:
            found.append((one, name, tuple(rest[1:])))
    return found


def test_there_are_commands_on_the_pages() -> None:
    assert len(ALL) > 30
    assert len(configured()) > 20
    assert {one.page for one in ALL} >= {
        "README.md",
        "start.md",
        "cohorts.md",
        "pages.md",
        "gpu.md",
    }


def test_every_program_is_known() -> None:
    unknown = [str(one) for one in ALL if one.words and one.words[0] not in (*OURS, *ELSEWHERE)]
    assert not unknown


def test_every_make_target_exists() -> None:
    shown = [(str(one), target) for one in started("make") for target in one.words[1:]]
    shown += inline(r"^make ([a-z-]+)$")
    assert {target for _, target in shown} >= {"study", "test", "setup"}
    assert not [one for one in shown if "=" not in one[1] and one[1] not in TARGETS]


def test_every_subcommand_exists_and_can_be_loaded() -> None:
    shown = [(str(one), one.words[1]) for one in started("lesion-dynamics") if len(one.words) > 1]
    shown += inline(r"^lesion-dynamics ([a-z][a-z-]*)")
    assert {name for _, name in shown} >= {"check", "quality", "scan-pages", "import"}
    assert not [one for one in shown if one[1] not in COMMANDS]


def test_every_python_script_or_module_exists() -> None:
    for one in started("python"):
        if one.words[1] == "-m":
            import_module(one.words[2])
        else:
            assert (ROOT / one.words[1]).is_file(), str(one)


@pytest.mark.parametrize(
    ("name", "overrides"),
    [pytest.param(name, given, id=str(one)) for one, name, given in configured()],
)
def test_every_override_composes_and_validates(
    name: str, overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    multirun = [word for word in overrides if word in ("-m", "--multirun")]
    given = [word for word in overrides if word not in multirun]
    if multirun:  # the first job of the sweep
        given = [re.sub(r"^([^=]+=[^\[{,]*),.*$", r"\1", word) for word in given]
    validated(ROOTS[name], composed(name, *(word.replace("=...", "=/somewhere") for word in given)))


def test_every_path_that_is_named_exists() -> None:
    named = inline(r"^([\w./-]+/[\w./-]*)$")
    ours = [(page, path) for page, path in named if path.startswith(FOLDERS)]
    assert len(ours) > 10
    example = "src/lesion_dynamics/{}"  # of docs/extending.md: the files that it shows
    shown = {
        example.format(path)
        for path in (
            "segmenter/plain.py", "segmenter/log_cosh_dice.py", "longitudinal/brunner_munzel.py",
            "importers/two_visits.py",
        )
    }  # fmt: skip
    missing = [one for one in ours if not (ROOT / one[1]).exists()]
    assert {path for page, path in missing if page == "extending.md"} <= shown
    assert not [one for one in missing if one[1] not in shown]


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    listed = set(re.findall(r": ([\w-]+\.md)$", navigation, flags=re.MULTILINE))
    assert listed == {path.name for path in Path(ROOT / "docs").glob("*.md")}


def test_every_override_in_the_text_is_one_that_some_command_takes() -> None:
    """Of a line of text nobody knows which command takes it: at least one must."""
    known = {key for name in ROOTS for key in keys_of(composed(name))}
    for group in sorted((ROOT / "conf").glob("*/*.yaml")):
        parts = yaml.safe_load(group.read_text(encoding="utf-8")) or {}
        known |= {group.parent.name} | keys_of(parts, f"{group.parent.name}.")
    shown = inline(r"^'?([a-z_]+(?:\.[a-z_]+)*)=")
    assert len(shown) > 50
    assert not [one for one in shown if one[1] not in known]


def keys_of(values: Mapping[Any, Any], before: str = "") -> set[str]:
    """Every dotted key of nested values."""
    found = {f"{before}{key}" for key in values}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= keys_of(value, f"{before}{key}.")
    return found
