"""Candidate to champion: gates, log, the way back, and two at once."""

from __future__ import annotations

import json
import logging
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.releases.promoting import FREE, NAME, attempt, settings
from tests.workflows.releases.tiny_version import make_version, scan_record

from lesion_dynamics.errors import ConfigurationError, ModelVersionError, OutputError
from lesion_dynamics.records import champion
from lesion_dynamics.records.promotion_log import BEGINNING, PromotionLog
from lesion_dynamics.records.registry import champion_number, register, resolve
from lesion_dynamics.records.store import Store, open_store
from lesion_dynamics.records.training_run import TrainingRun
from lesion_dynamics.settings.promotion import RollbackSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.tracking import TrackingSettings
from lesion_dynamics.workflows.releases.promotion import promote, rollback

EACH = {
    1: [scan_record("sub-1"), scan_record("sub-2")],
    2: [scan_record("sub-1", dice=0.7), scan_record("sub-2")],
    3: [scan_record("sub-1", dice=0.3), scan_record("sub-2")],
    4: [scan_record("sub-1"), scan_record("sub-9")],
}


def tracking(folder: Path) -> TrackingSettings:
    return TrackingSettings(folder=folder, uri=None, experiment="test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with four versions: 2 better than 1, 3 worse, 4 validated on other scans."""
    root = tmp_path_factory.mktemp("promotion")
    store = open_store(tracking(root / "tracking"))
    for number, each in EACH.items():
        version = make_version(root / f"v{number}", name=NAME, seed=number, each=each)
        run = TrainingRun.start(store, name="run", tags={})
        assert register(store, run_id=run.run_id, folder=version.weights.parent).number == number
    return root / "tracking"


@pytest.fixture
def store(folder: Path) -> Store:
    """Nobody is champion, nothing is logged."""
    shutil.rmtree(folder / "promotions", ignore_errors=True)
    store = open_store(tracking(folder))
    if champion_number(store, NAME) is not None:
        store.client.delete_registered_model_alias(NAME, "champion")
    return store


def back(folder: Path, **changed: Any) -> RollbackSettings:
    given = {"name": NAME, "reason": "worse on site B", "tracking": tracking(folder), **changed}
    return validated(RollbackSettings, given)


def entries(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "promotions" / f"{NAME}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_better_candidate_becomes_champion_and_the_log_says_all(
    folder: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        promote(settings(folder, 1))
        promote(settings(folder, 2, *FREE, "reason=spring release"))
    assert champion_number(store, NAME) == 2
    assert resolve(f"{NAME}@champion", tracking(folder)).label == "tiny/2"
    assert "no champion yet" in caplog.text
    table = [line.split() for line in caplog.text.splitlines() if "Dice, all" in line]
    assert table[0][-7:-2] == ["0.650", "0.600", "0.580", "pass", "mean"]
    first, second = entries(folder)
    assert (first["from"], first["to"], first["gates"]) == (None, "tiny/1", [])
    assert first["previous_sha256"] == BEGINNING
    assert (second["from"], second["to"], second["who"]) == ("tiny/1", "tiny/2", "A. Tester")
    assert second["reason"] == "spring release"
    assert not second["forced"]
    dice = next(gate for gate in second["gates"] if gate["gate"] == "dice")
    assert dice == {
        "gate": "dice", "diagnosis": "all", "outcome": "pass",
        "candidate": 0.65, "champion": 0.6, "limit": 0.58,
    }  # fmt: skip


def test_a_worse_candidate_is_refused_and_by_force_recorded(folder: Path, store: Store) -> None:
    promote(settings(folder, 1))
    with pytest.raises(ModelVersionError, match=r"1 gate\(s\) not passed, the first: Dice, all"):
        promote(settings(folder, 3, *FREE))
    assert champion_number(store, NAME) == 1
    assert len(entries(folder)) == 1
    promote(settings(folder, 3, *FREE, "force=true", "reason=faster scanner only"))
    assert champion_number(store, NAME) == 3
    last = entries(folder)[-1]
    assert last["forced"]
    assert last["reason"] == "faster scanner only"
    assert [g["gate"] for g in last["gates"] if g["outcome"] == "fail"] == ["dice"]
    with pytest.raises(ConfigurationError, match="force=true needs reason"):
        settings(folder, 3, "force=true")


def test_a_version_of_another_registry_is_not_promoted(
    folder: Path, store: Store, tmp_path: Path
) -> None:
    make_version(tmp_path / "v1", name=NAME, number=1, seed=99)
    with pytest.raises(ModelVersionError, match="the registry does not hold this model version"):
        promote(settings(folder, 1, f"model_version={tmp_path / 'v1'}"))
    assert not (folder / "promotions" / f"{NAME}.jsonl").exists()


def test_other_validation_scans_are_refused_with_what_to_do(folder: Path, store: Store) -> None:
    promote(settings(folder, 1))
    with pytest.raises(ModelVersionError, match=r"other scans \(2 and 2, 1 in common\)") as refused:
        promote(settings(folder, 4, *FREE))
    assert "validation.root=" in refused.value.remedy
    assert "force=true" in refused.value.remedy


def test_a_required_gate_that_is_not_measurable_is_not_passed(folder: Path, store: Store) -> None:
    promote(settings(folder, 1))
    with pytest.raises(ModelVersionError, match="study verdict, all: not measurable") as refused:
        promote(settings(folder, 2, "promotion.required=[study_verdict]"))
    assert "analyze.py" in refused.value.remedy


def test_the_study_s_verdicts_are_read_from_the_results(
    folder: Path, store: Store, tmp_path: Path
) -> None:
    promote(settings(folder, 1))
    own = ["promotion.required=[study_verdict]", f"results={tmp_path}"]
    header = "reference\tmodel_version\tdiagnosis\tquantity\tstatistic\tverdict\n"
    row = "tiny/1\ttiny/2\tMS\tremission_change_mm3\tpseudomedian\tlost\n"
    (tmp_path / "verdicts.tsv").write_text(header + row, encoding="utf-8")
    with pytest.raises(ModelVersionError, match="1 conclusions, 1 lost or reversed"):
        promote(settings(folder, 2, *own, "promotion.study_verdict=kept"))
    promote(settings(folder, 2, *own))
    assert entries(folder)[-1]["to"] == "tiny/2"


def test_the_way_back_goes_from_champion_to_champion(folder: Path, store: Store) -> None:
    with pytest.raises(ModelVersionError, match="knows no champion before"):
        rollback(back(folder))
    promote(settings(folder, 1))
    promote(settings(folder, 2, *FREE))
    promote(settings(folder, 3, *FREE, "force=true", "reason=a try"))
    assert rollback(back(folder))["to"] == "tiny/2"
    assert rollback(back(folder))["to"] == "tiny/1"
    assert champion_number(store, NAME) == 1
    with pytest.raises(ModelVersionError, match="knows no champion before"):
        rollback(back(folder))
    promote(settings(folder, 2, *FREE))
    assert rollback(back(folder))["to"] == "tiny/1"
    assert [e["action"] for e in entries(folder)] == [
        "promote", "promote", "promote", "rollback", "rollback", "promote", "rollback",
    ]  # fmt: skip


def test_a_promotion_that_the_registry_does_not_take_is_withdrawn_in_the_log(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(settings(folder, 1))
    promote(settings(folder, 2, *FREE))

    def refuse(*_: object) -> None:
        raise OutputError("the registry is away", where=NAME, remedy="Start it.")

    with monkeypatch.context() as patched:
        patched.setattr(champion, "set_champion", refuse)
        with pytest.raises(OutputError, match="the registry is away"):
            promote(settings(folder, 1, *FREE, "force=true", "reason=back"))
    assert champion_number(store, NAME) == 2
    last = entries(folder)[-1]
    assert (last["action"], last["from"], last["to"]) == ("withdraw", "tiny/1", "tiny/2")
    assert last["reason"] == "entry 3 was not carried out: the registry is away"
    assert rollback(back(folder))["to"] == "tiny/1"


@pytest.mark.parametrize("what", ["changed", "removed"])
def test_a_log_that_was_changed_is_seen_and_not_gone_on_with(
    what: str, folder: Path, store: Store
) -> None:
    for number in (1, 2):
        promote(settings(folder, number, *FREE))
    path = folder / "promotions" / f"{NAME}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if what == "changed":
        lines[0] = lines[0].replace("A. Tester", "B. Tester")
    else:
        del lines[0]
    path.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(ModelVersionError, match="the log was changed"):
        promote(settings(folder, 1, *FREE, "force=true", "reason=x"))
    assert champion_number(store, NAME) == 2


def test_an_entry_cut_short_by_a_crash_was_never_made(folder: Path, store: Store) -> None:
    promote(settings(folder, 1))
    path = folder / "promotions" / f"{NAME}.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write('{"action": "prom')
    promote(settings(folder, 2, *FREE))
    assert [e["to"] for e in entries(folder)] == ["tiny/1", "tiny/2"]
    PromotionLog(store, NAME, tracking(folder)).entries()


def test_of_two_promotions_at_once_one_wins_and_one_is_told(folder: Path, store: Store) -> None:
    promote(settings(folder, 1))
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    both = [context.Process(target=attempt, args=(folder, n, barrier, answers)) for n in (2, 3)]
    for process in both:
        process.start()
    said = dict(answers.get(timeout=90) for _ in both)
    for process in both:
        process.join()
    won = champion_number(store, NAME)
    assert won in (2, 3)
    lost = 5 - won
    assert said[won] == f"tiny/{won}"
    assert said[lost] == f"somebody promoted tiny/{won} meanwhile; this promotion is not done"
    assert [e["to"] for e in entries(folder)] == ["tiny/1", f"tiny/{won}"]


def test_on_a_server_the_log_is_the_registry_s_and_an_entry_is_given_once(
    folder: Path, store: Store, tmp_path: Path
) -> None:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    here, there = (
        PromotionLog(store, NAME, TrackingSettings(folder=tmp_path / n, uri=uri, experiment="t"))
        for n in ("here", "there")
    )
    with here.locked():
        here.append({"to": "tiny/1"}, after=0)
    # Another machine, with a folder of its own, sees it and goes on.
    assert [e["to"] for e in there.entries()] == ["tiny/1"]
    before = there._lines()
    with here.locked(), there.locked():
        here.append({"to": "tiny/2"}, after=1)
        there._lines = lambda: before  # type: ignore[method-assign]  # it looked before that
        with pytest.raises(ModelVersionError, match="another promotion was recorded"):
            there.append({"to": "tiny/3"}, after=1)
    assert [e["to"] for e in here.entries()] == ["tiny/1", "tiny/2"]
    assert here.path.read_text(encoding="utf-8").count("\n") == 2
