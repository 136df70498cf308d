"""Work over processes: all results, every failure with its reason, dead processes survived."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from lesion_dynamics.atomic_files import disk_full
from lesion_dynamics.errors import DiskFullError, ScanError
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


def die_or_say_where(task: tuple[int, Path]) -> int:
    """Item 1 kills its process as soon as item 0 is under way, which ends with it."""
    number, folder = task
    (folder / f"{number}-{os.getpid()}").touch()
    while number == 0 and len(list(folder.glob("0-*"))) == 1:
        time.sleep(0.05)
    if number == 1:
        while not list(folder.glob("0-*")):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def begin_badly(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    raise RuntimeError("CUDA out of memory")


def begin_if_alone(folder: Path) -> None:
    """Two at once find too little memory."""
    (folder / str(os.getpid())).touch()
    time.sleep(1.0)
    if len(list(folder.iterdir())) == 2:
        raise RuntimeError("CUDA out of memory")


def begin_unless_second(folder: Path) -> None:
    """One of two finds too little memory, at once; the other takes longer."""
    try:
        (folder / "first").mkdir()
        time.sleep(0.5)
    except FileExistsError:
        if not (folder / "said").exists():
            (folder / "said").touch()
            raise RuntimeError("CUDA out of memory") from None


def die_the_first_three_times(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    if len(list(folder.iterdir())) <= 3:
        os.kill(os.getpid(), signal.SIGKILL)


def die_at_once() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse_to_begin() -> None:
    raise ScanError("no weights", where="version 1", remedy="Train one.")


def find_the_disk_full() -> None:
    raise disk_full(Path("/full"))


def test_only_items_that_were_begun_when_a_process_died_are_done_one_by_one(
    tmp_path: Path,
) -> None:
    """Of twelve items two are under way; the other ten share the two processes of a new pool."""
    tasks = [(number, tmp_path) for number in range(12)]
    done = {
        one.item[0]: one
        for one in in_processes(die_or_say_where, tasks, processes=2, description="x")
    }
    assert sorted(done) == list(range(12))
    assert [number for number, one in done.items() if one.failure] == [1]
    assert "died twice" in str(done[1].failure)
    tried = Counter(path.name.split("-")[0] for path in tmp_path.iterdir())
    assert tried == {"0": 2, "1": 2} | {str(number): 1 for number in range(2, 12)}
    assert len({done[number].result for number in range(2, 12)}) <= 2
    assert done[0].result not in {done[number].result for number in range(2, 12)}


def test_the_reason_of_a_process_that_cannot_begin_is_that_of_every_item(tmp_path: Path) -> None:
    found = in_processes(
        square, list(range(9)), processes=2, description="x",
        initializer=begin_badly, arguments=(tmp_path,),
    )  # fmt: skip
    reason = "a process could not begin: unexpected RuntimeError: CUDA out of memory"
    assert [(one.result, one.failure) for one in found] == [(None, reason)] * 9
    assert len(list(tmp_path.iterdir())) <= 3  # two at once, then one


def test_what_too_many_cannot_do_at_once_fewer_do(tmp_path: Path) -> None:
    found = in_processes(
        square, [0, 1, 2, 4], processes=2, description="x",
        initializer=begin_if_alone, arguments=(tmp_path,),
    )  # fmt: skip
    assert {one.item: one.result for one in found} == {0: 0, 1: 1, 2: 4, 4: 16}


def test_a_process_that_cannot_begin_costs_those_that_can_no_item(tmp_path: Path) -> None:
    found = in_processes(
        square, list(range(4, 40)), processes=2, description="x",
        initializer=begin_unless_second, arguments=(tmp_path,),
    )  # fmt: skip
    assert {one.item: one.result for one in found} == {n: n * n for n in range(4, 40)}
    assert (tmp_path / "said").exists()


def test_processes_that_die_before_they_begin_are_not_tried_for_ever() -> None:
    found = list(
        in_processes(square, list(range(9)), processes=2, description="x", initializer=die_at_once)
    )
    assert {one.failure for one in found} == {
        "no process lived long enough to begin with it (out of memory?)"
    }
    assert sorted(one.item for one in found) == list(range(9))


def test_an_error_of_the_user_is_told_as_it_is_and_a_full_disk_ends_the_command() -> None:
    found = in_processes(square, [1, 2], processes=1, description="x", initializer=refuse_to_begin)
    assert [one.failure for one in found] == ["version 1: no weights. Train one."] * 2
    with pytest.raises(DiskFullError, match="the disk is full"):
        list(
            in_processes(
                square, [1, 2], processes=1, description="x", initializer=find_the_disk_full
            )
        )


def test_deaths_before_anything_began_are_not_taken_for_the_last_word(tmp_path: Path) -> None:
    found = in_processes(
        square, list(range(4, 13)), processes=2, description="x",
        initializer=die_the_first_three_times, arguments=(tmp_path,),
    )  # fmt: skip
    assert {one.item: one.result for one in found} == {n: n * n for n in range(4, 13)}
