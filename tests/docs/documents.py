"""README and docs taken apart: their code blocks, commands and paths."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_SHELL = ("bash", "sh", "shell", "console")
OURS = ("make", "python", "lesion-dynamics")
ELSEWHERE = (
    "bidscoiner", "bidsmapper", "cd", "cp", "curl", "dcm2bids", "dcm2bids_helper",
    "dcm2bids_scaffold", "dcm2niix", "docker", "apptainer", "dvc", "export", "git", "heudiconv",
    "mkdir", "pip", "sleep", "source", "scp", "scontrol", "sbatch", "srun", "ssh", "mlflow", "ray",
    "rsync", "mc", "aws", "createdb", "psql",
)  # fmt: skip
"""Programs of others, and of the shell: not ours to check."""
OF_THE_JOB = {"$SLURM_ARRAY_TASK_ID": "3", "$SLURM_CPUS_PER_TASK": "16", "$parts": "16"}
"""What a scheduler puts in place of these in a script, as an example."""


@dataclass(frozen=True)
class Command:
    """One command of one page, as words without comments."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def blocks(page: Path, *languages: str) -> list[str]:
    """The code blocks of a page in one of the languages; "" is a block without one."""
    text = page.read_text(encoding="utf-8")
    return [body for language, body in _BLOCK.findall(text) if language in languages]


def commands() -> list[Command]:
    """Every command of every page.

    In a block that is said to be shell every line is one; in a script (``#!``) and in a block
    without a language those that start with a program of ours.
    """
    found = []
    for page in PAGES:
        shell = blocks(page, *_SHELL)
        scripts = [_of_a_job(body) for body in shell if body.startswith("#!")]
        plain = [body for body in shell if not body.startswith("#!")]
        lines = [(line, True) for body in plain for line in _lines(body)]
        lines += [(line, False) for body in blocks(page, "") + scripts for line in _lines(body)]
        for line, sure in lines:
            words = tuple(shlex.split(line, comments=True)) if sure or _ours(line) else ()
            if words:
                found.append(Command(page.name, _without_assignments(words)))
    return found


def inline(pattern: str) -> list[tuple[str, str]]:
    """(page, what the pattern's group matched) for inline code of every page."""
    found = []
    for page in PAGES:
        text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
        for code in re.findall(r"`([^`]+)`", text):
            found += [(page.name, match) for match in re.findall(pattern, " ".join(code.split()))]
    return found


def _lines(body: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", " ", body)
    return [line.strip().removeprefix("$ ") for line in joined.splitlines() if line.strip()]


def _ours(line: str) -> bool:
    return line.split()[0] in OURS and not line.startswith("python -c")


def _of_a_job(script: str) -> str:
    for name, value in OF_THE_JOB.items():
        script = script.replace(name, value)
    return script


def _without_assignments(words: tuple[str, ...]) -> tuple[str, ...]:
    """``A=b python x.py`` is ``python x.py``."""
    kept = list(words)
    while kept and re.fullmatch(r"[A-Za-z_]+=.*", kept[0]):
        kept.pop(0)
    if kept and re.match(r"\w+=\$\(", kept[0]):  # a shell variable takes what a program says
        kept[0] = kept[0].partition("$(")[2]
    return tuple(kept)
