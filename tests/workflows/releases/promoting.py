"""Settings of a promotion, and one that waits for another; loads no torch in its process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import composed

from lesion_dynamics.errors import UserError
from lesion_dynamics.settings.promotion import PromoteSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.releases.promotion import assess, commit

NAME = "tiny"
FREE = ["promotion.required=[lesion_f1,dice]"]
"""The tiny versions have no figures of a diagnosis and no study."""


def settings(folder: Path, number: int, *more: str) -> PromoteSettings:
    given = [
        f"model_version={NAME}/{number}", f"tracking.folder={folder}", "results=nowhere",
        "release=null", "who=A. Tester", *more,
    ]  # fmt: skip
    return validated(PromoteSettings, composed("promote", *given))


def attempt(folder: Path, number: int, barrier: Any, answers: Any) -> None:
    own = settings(folder, number, *FREE, "force=true", "reason=race")
    assessment = assess(own)
    barrier.wait(timeout=60)
    try:
        answers.put((number, str(commit(assessment, own)["to"])))
    except UserError as error:
        answers.put((number, error.what))
