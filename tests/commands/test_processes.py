"""Work over processes: all results, every failure with its reason, dead processes survived."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from lesion_dynamics.errors import ScanError
from lesion_dynamics.workflows.processes import in_processes


def square(number: int) -> int:
    if number == 3:
        raise ScanError("three is not wanted", where="number 3", remedy="Use another.")
    return number * number


def die_once(task: tuple[Path, int]) -> int:
    marker, number = task
    if number == 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_always(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def break_down(number: int) -> int:
    raise ZeroDivisionError(str(number))


def test_a_user_error_is_the_failure_of_its_item_alone() -> None:
    done = list(in_processes(square, [1, 2, 3, 4], processes=2, description="squares"))
    assert {d.item: d.result for d in done} == {1: 1, 2: 4, 3: None, 4: 16}
    assert [d.failure for d in done if d.item == 3] == [
        "number 3: three is not wanted. Use another."
    ]


def test_items_of_a_process_that_was_killed_are_done_again(tmp_path: Path) -> None:
    tasks = [(tmp_path / "died", number) for number in range(5)]
    done = list(in_processes(die_once, tasks, processes=2, description="tasks"))
    assert sorted(d.result for d in done if d.result is not None) == [0, 1, 2, 3, 4]
    assert all(d.failure is None for d in done)


def test_an_item_that_kills_every_process_fails_alone() -> None:
    done = {d.item: d for d in in_processes(die_always, range(4), processes=2, description="x")}
    assert {number: d.result for number, d in done.items()} == {0: 0, 1: 1, 2: None, 3: 3}
    assert "died twice" in str(done[2].failure)


def test_a_defect_is_not_taken_for_a_failed_item() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_processes(break_down, [1], processes=1, description="x"))


def test_nothing_to_do_is_fine() -> None:
    assert list(in_processes(square, [], processes=2, description="x")) == []
