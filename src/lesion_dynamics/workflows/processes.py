"""Work spread over processes: results as they come, one failure never hides the others."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tqdm import tqdm

from lesion_dynamics.errors import DiskFullError, UserError
from lesion_dynamics.worker_process import follow_parent

_LOG = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done(Generic[Item, Result]):
    """What became of one item: a result, or a failure with its reason."""

    item: Item
    result: Result | None
    failure: str | None


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

    A `UserError` raised for an item is its failure. An item whose process dies (out of memory,
    killed) is tried once more in a process of its own; only if that one dies too it has failed.
    A full disk, which no item is to blame for, is raised; and so is any other exception, which is
    a defect.

    processes : 0 is one a core.
    """
    workers = max(1, min(processes or cores(), len(items)))
    with tqdm(
        total=len(items), desc=description, unit="", disable=not sys.stderr.isatty() or not items
    ) as progress:
        left = list(items)
        for alone in (False, True):
            groups = [[item] for item in left] if alone else [left]
            done = _pass(function, groups, 1 if alone else workers, initializer, arguments)
            left = []
            for item, outcome in done:
                if outcome is None:
                    left.append(item)
                    continue
                progress.update()
                yield outcome
            if not left:
                return
            _LOG.warning("%s: a process died; %d items are done again", description, len(left))
        for item in left:
            progress.update()
            reason = "the process that worked on it died twice (out of memory?)"
            yield Done(item, None, reason)


def _pass(
    function: Callable[[Item], Result],
    groups: Sequence[Sequence[Item]],
    workers: int,
    initializer: Callable[..., None] | None,
    arguments: tuple[Any, ...],
) -> Iterator[tuple[Item, Done[Item, Result] | None]]:
    """A pool for each group of items; an outcome of None means that the item's process died."""
    for group in groups:
        pool = _pool(workers, initializer, arguments)
        try:
            futures: dict[Future[Result], Item] = {pool.submit(function, i): i for i in group}
            for future in as_completed(futures):
                yield futures[future], _outcome(futures[future], future)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _outcome(item: Item, future: Future[Result]) -> Done[Item, Result] | None:
    try:
        return Done(item, future.result(), None)
    except BrokenProcessPool:
        return None
    except DiskFullError:
        raise
    except UserError as error:
        return Done(item, None, str(error))


def _pool(
    workers: int, initializer: Callable[..., None] | None, arguments: tuple[Any, ...]
) -> ProcessPoolExecutor:
    # spawn: a forked child of a process with running threads (torch, ITK) can hang.
    return ProcessPoolExecutor(
        max_workers=workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(initializer, arguments),
    )


def _begin(initializer: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    follow_parent()
    if initializer is not None:
        initializer(*arguments)
