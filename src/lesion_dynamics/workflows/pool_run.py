"""One pool of processes and some items: what became of each, and which a death interrupted."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lesion_dynamics.errors import DiskFullError, UserError
from lesion_dynamics.worker_process import follow_parent

_LOG = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")
Begin = tuple[Callable[..., None] | None, tuple[Any, ...]]
"""What initialises a process, and its arguments."""


@dataclass(frozen=True, slots=True)
class Done(Generic[Item, Result]):
    """What became of one item: a result, or a failure with its reason."""

    item: Item
    result: Result | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A process could not be initialised. error : where it is one that a user can mend."""

    reason: str
    error: UserError | None


@dataclass(frozen=True, slots=True)
class _Answer(Generic[Result]):
    result: Result
    process: int


class PoolRun(Generic[Item, Result]):
    """A pool that is given some of the items, by their numbers, once.

    What is known after `outcomes` has come to its end:

    interrupted : items that were begun and have no outcome, because a process died. not_begun :
    the other items without one. broke : whether a process died. refusal : why a process could
    not be initialised, else None. ready : processes that were, of `workers`.
    """

    def __init__(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        numbers: Sequence[int],
        workers: int,
        begin: Begin,
    ) -> None:
        self._function, self._items, self._numbers = function, items, list(numbers)
        self._begin, self.workers = begin, min(workers, len(self._numbers))
        self.interrupted: list[int] = []
        self.not_begun: list[int] = []
        self.broke = False
        self.refusal: str | None = None
        self.ready: set[int] = set()

    def outcomes(self) -> Iterator[Done[Item, Result]]:
        """What became of the items, as they finish.

        Raises
        ------
        DiskFullError : in a process. Exception : that ``function`` raised and that is no
            `UserError`.
        """
        # spawn: a forked child of a process with running threads (torch, ITK) can hang.
        context = multiprocessing.get_context("spawn")
        begun = context.RawArray("b", len(self._numbers))
        pool = ProcessPoolExecutor(
            self.workers, mp_context=context, initializer=_begin, initargs=(begun, *self._begin)
        )
        without: list[int] = []
        try:
            futures: dict[Future[_Answer[Result] | Refusal], int] = {}
            try:
                for place, number in enumerate(self._numbers):
                    item = self._items[number]
                    futures[pool.submit(_work, self._function, place, item)] = place
            except BrokenProcessPool:
                self.broke = True
                without += range(len(futures), len(self._numbers))
            for future in as_completed(futures):
                done = self._outcome(self._items[self._numbers[futures[future]]], future)
                if done is None:
                    without.append(futures[future])
                else:
                    yield done
        finally:
            # A broken pool ends its other processes and closes its pipes in a thread of its own,
            # and the next pool is to open none meanwhile.
            pool.shutdown(wait=self.broke, cancel_futures=True)
        for place in sorted(without):
            kind = self.interrupted if begun[place] else self.not_begun
            kind.append(self._numbers[place])

    def _outcome(
        self, item: Item, future: Future[_Answer[Result] | Refusal]
    ) -> Done[Item, Result] | None:
        try:
            answer = future.result()
        except BrokenProcessPool:
            self.broke = True
            return None
        except DiskFullError:
            raise
        except UserError as error:
            return Done(item, None, str(error))
        if isinstance(answer, Refusal):
            if isinstance(answer.error, DiskFullError):
                raise answer.error
            self.refusal = answer.reason
            return None
        self.ready.add(answer.process)
        return Done(item, answer.result, None)


def refusal_of(
    initializer: Callable[..., None] | None, arguments: tuple[Any, ...]
) -> Refusal | None:
    """Initialise this process; if it cannot be, what it answers to every item.

    An exception that left this function would end the process, and its reason would be lost.
    """
    if initializer is None:
        return None
    try:
        initializer(*arguments)
    except UserError as error:
        return Refusal(str(error), error)
    except Exception as error:  # noqa: BLE001  whatever it is, it is told
        _LOG.error("a process could not be initialised", exc_info=error)
        reason = f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return Refusal(f"a process could not begin: {reason}", None)
    return None


_begun: Any = None
_refusal: Refusal | None = None


def _begin(begun: Any, initializer: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    global _begun, _refusal
    _begun = begun
    follow_parent()
    _refusal = refusal_of(initializer, arguments)


def _work(function: Callable[[Item], Result], place: int, item: Item) -> _Answer[Result] | Refusal:
    if _refusal is not None:
        return _refusal
    _begun[place] = 1
    return _Answer(function(item), os.getpid())
