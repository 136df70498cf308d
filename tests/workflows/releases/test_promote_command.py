"""Promoting makes the study of the candidate first, with the keys it is given for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lesion_dynamics.commands import promote as command
from lesion_dynamics.settings.release import ReleaseSettings
from lesion_dynamics.workflows.releases import promotion, release


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """The study and the promotion are not made, only noted, in their order."""
    found: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        release, "run", lambda told, *, all_scans: found.append(("study", (told, all_scans)))
    )
    monkeypatch.setattr(promotion, "promote", lambda told: found.append(("promotion", told)))
    return found


def test_the_study_comes_first_and_is_of_the_same_version_and_store(
    called: list[tuple[str, Any]], tmp_path: Path
) -> None:
    status = command.main(
        ["model_version=a/2", f"tracking.folder={tmp_path}", "results=results/mine",
         "cache.folder=null", 'release=["cohort=bids","cohort.root=/data/mine","tta=flips"]']
    )  # fmt: skip
    assert status == 0
    assert [what for what, _ in called] == ["study", "promotion"]
    told, all_scans = called[0][1]
    assert isinstance(told, ReleaseSettings)
    assert (told.model_version, told.tta, told.cohort.root) == ("a/2", "flips", Path("/data/mine"))
    assert told.tracking.folder == tmp_path
    assert told.cache.folder is None
    assert told.output == called[1][1].results == Path("results/mine")
    assert not all_scans


def test_null_takes_the_study_as_it_is(called: list[tuple[str, Any]]) -> None:
    assert command.main(["model_version=a/2", "release=null"]) == 0
    assert [what for what, _ in called] == ["promotion"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('release=["cohrot=bids"]', "not what lesion-dynamics release takes"),
        ('release=["tta=sideways"]', "release key tta: tta='sideways' is refused"),
        ('release=["cohort.root=/nowhere"]', "release=null takes the study as it is"),
    ],
)
def test_what_is_wrong_with_the_study_is_said_before_anything_is_promoted(
    keys: str, said: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    promoted: list[object] = []
    monkeypatch.setattr(promotion, "promote", promoted.append)
    monkeypatch.chdir(tmp_path)
    assert command.main(["model_version=lesion-baseline/1", keys]) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert said in lines[-1]
    assert not promoted
