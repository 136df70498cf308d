"""The messages of docs/troubleshooting.md are those that the code gives."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.conftest import ROOT

from lesion_dynamics import errors
from lesion_dynamics.atomic_files import require_writable_folder
from lesion_dynamics.commands.__main__ import main
from lesion_dynamics.errors import UserError
from lesion_dynamics.imaging.reading import read_image
from lesion_dynamics.report.scan_pages.text import asset

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^\| `([^`]+)` \|", PAGE, flags=re.MULTILINE)
GAP = "…"
KINDS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, UserError)
}


def template(node: ast.expr) -> str | None:
    """The text of a message, "…" for what is filled in; None where it is made elsewhere."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else GAP for part in node.values]
        return "".join(str(part) for part in parts)
    return None


def messages() -> set[str]:
    """What every `UserError` that the package raises can say is wrong."""
    found = set()
    for path in Path(ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if called and node.func.id in KINDS and node.args:  # type: ignore[union-attr]
                found.add(template(node.args[0]))  # type: ignore[union-attr]
    return {text for text in found if text is not None}


def test_every_message_shown_is_one_of_the_code() -> None:
    assert len(SHOWN) > 30
    assert len(set(SHOWN)) == len(SHOWN)
    assert not set(SHOWN) - messages()


def said_about(problem: str) -> str:
    """The row of the page whose message fits what a command said."""
    for message in SHOWN:
        pattern = ".+".join(re.escape(part) for part in message.split(GAP))
        if re.search(pattern, problem):
            return message
    raise AssertionError(f"docs/troubleshooting.md does not know: {problem}")


def test_refusals_of_commands_are_found_on_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, expected in (
        (["nonsense"], "there is no such command"),
        (["check", "cohort.rot=x"], "unknown key …"),
        (["scan-pages"], "the key … has no value"),
        (["check", f"cohort.root={tmp_path / 'none'}"], "there is no cohort folder for cohort …"),
    ):
        assert main(arguments) == 2
        assert said_about(capsys.readouterr().err) == expected


def test_refusals_of_files_are_found_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "text.nii.gz").write_text("not an image")
    with pytest.raises(UserError) as raised:
        read_image(tmp_path / "text.nii.gz")
    assert said_about(str(raised.value)) == "not a readable NIfTI file: …"
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as raised:
        require_writable_folder(tmp_path / "file" / "below")
    assert said_about(str(raised.value)) == "this folder cannot be written"


def test_what_the_viewer_says_is_on_the_page() -> None:
    said = asset("viewer.js")
    quoted = re.findall(r"^- \*([^*]+)\*:", PAGE, flags=re.MULTILINE)
    assert len(quoted) == 2
    for sentence in quoted:
        assert sentence in said
