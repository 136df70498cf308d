"""Work spread over processes: results as they come, one failure never hides the others."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

from lesion_dynamics.workflows.pool_run import Begin, Done, PoolRun

__all__ = ["Done", "cores", "in_processes"]
_LOG = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")
_DIED_TWICE = "the process that worked on it died twice (out of memory?)"
_FRUITLESS_AT_MOST = 3
"""Single processes, one after the other, that died before they began with anything."""
_NEVER_BEGAN = "no process lived long enough to begin with it (out of memory?)"


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    processes: int,
    description: str,
    initializer: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Iterator[Done[Item, Result]]:
    """Yield what became of each item, in the order in which they finish.

    A `UserError` raised for an item is its failure. When a process dies (out of memory, killed),
    the items that were being worked on are tried once more at the end, each in a process of its
    own, and have failed if that one dies too; the others are done again side by side, from the
    second such death on in half as many processes. Items that came to a process that could not
    be initialised are done again in as many as could; if none can, not even a single one, every
    item fails with the initialiser's reason. Processes that die before they begin with any item
    are followed by a single one, three times at most.
    A full disk, which no item is to blame for, is raised; and so is any other exception of
    ``function``, which is a defect.

    processes : 0 is one a core.
    """
    workers = max(1, min(processes or cores(), len(items)))
    begin = (initializer, arguments)
    with tqdm(
        total=len(items), desc=description, unit="", disable=not sys.stderr.isatty() or not items
    ) as progress:
        for done in _side_by_side_then_alone(function, items, workers, begin, description):
            progress.update()
            yield done


def _side_by_side_then_alone(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    begin: Begin,
    description: str,
) -> Iterator[Done[Item, Result]]:
    left = list(range(len(items)))
    suspects: list[int] = []
    deaths = fruitless = 0
    while left:
        one = PoolRun(function, items, left, workers, begin)
        yield from one.outcomes()
        suspects += one.interrupted
        came_of_none = len(one.not_begun) == len(left)
        left = one.not_begun
        if one.refusal is None and not one.broke:
            break
        fruitless = fruitless + 1 if one.workers == 1 and came_of_none else 0
        if fruitless == _FRUITLESS_AT_MOST or (fruitless and one.refusal is not None):
            reason = one.refusal or _NEVER_BEGAN
            yield from (Done(items[index], None, reason) for index in left)
            break
        if one.refusal is not None:
            # Perhaps so many at once lack what fewer would have, such as memory of a GPU.
            workers = max(1, min(len(one.ready), one.workers - 1))
            _LOG.warning("%s: from now on %d at once: %s", description, workers, one.refusal)
            continue
        deaths += 1
        again = len(left) + len(one.interrupted)
        _LOG.warning("%s: a process died; %d items are done again", description, again)
        if not one.interrupted:  # it died before it could begin
            workers = 1
        elif deaths > 1:
            workers = max(1, workers // 2)
    for index in suspects:
        alone = PoolRun(function, items, [index], 1, begin)
        yield from alone.outcomes()
        if alone.refusal is not None or alone.broke:
            yield Done(items[index], None, alone.refusal or _DIED_TWICE)
