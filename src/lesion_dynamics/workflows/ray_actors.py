"""Work spread over the actors of a Ray cluster, on this computer or on many.

One actor holds one copy of the segmenter for as long as the command runs and takes one item after
another, so a slow item holds nobody up. An actor or a node that dies is replaced, and its item is
done again elsewhere; the item's files are written whole or not at all, so nothing comes twice.
Nothing is sent anywhere: Ray's usage statistics are off, and no dashboard is started.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from lesion_dynamics.errors import ConfigurationError, DiskFullError, UserError
from lesion_dynamics.settings.inference import ExecutorSettings
from lesion_dynamics.workflows.pool_run import Done, Refusal, refusal_of
from lesion_dynamics.workflows.processes import cores

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 2
_DIED = "the process that worked on it died twice (out of memory?)"
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # An actor without a GPU keeps the environment as it is.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
Item = TypeVar("Item")
Result = TypeVar("Result")


class _Actor:
    """Runs in a process of the cluster."""

    def __init__(
        self, initializer: Callable[..., None], arguments: tuple[Any, ...], folder: str
    ) -> None:
        # A running cluster's processes are elsewhere; relative paths are the command's.
        os.chdir(folder)
        self._refusal = refusal_of(initializer, arguments)

    def work(self, function: Callable[[Any], Any], item: Any) -> tuple[Any, str | None] | Refusal:
        if self._refusal is not None:
            return self._refusal
        try:
            return function(item), None
        except DiskFullError:
            raise
        except UserError as error:
            return None, str(error)


def in_ray_actors(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    executor: ExecutorSettings,
    description: str,
    initializer: Callable[..., None],
    arguments: tuple[Any, ...],
) -> Iterator[Done[Item, Result]]:
    """As `processes.in_processes`: failures are those of their items alone, defects are raised.

    An actor that cannot be initialised gives its item to the others; if none is left, one more is
    tried alone, and if that one cannot be either, what is left fails with its reason.

    Raises
    ------
    ConfigurationError : Ray is not installed, the cluster does not answer, or it has no room
        for a single actor.
    """
    if not items:
        return
    ray = _ray()
    with _cluster(ray, executor):
        count = min(len(items), _room(ray, executor))
        kind = ray.remote(num_cpus=executor.threads_per_process, max_restarts=0)(_Actor).options(
            num_gpus=executor.gpus_per_process
        )
        quiet = not sys.stderr.isatty()
        crew = _Crew(
            ray, lambda: kind.remote(initializer, arguments, str(Path.cwd())), function, items
        )
        try:
            with tqdm(total=len(items), desc=description, unit="", disable=quiet) as progress:
                for done in crew.work(count, description):
                    progress.update()
                    yield done
        finally:
            crew.dismiss()


class _Crew:
    """The actors of one command and what each works on."""

    def __init__(
        self,
        ray: Any,
        hire: Callable[[], Any],
        function: Callable[[Any], Any],
        items: Sequence[Any],
    ) -> None:
        self._ray, self._hire, self._function, self._items = ray, hire, function, items
        self._waiting = deque(range(len(items)))
        self._attempts = [0] * len(items)
        self._busy: dict[Any, tuple[Any, int]] = {}
        self._last_try = False

    def work(self, count: int, description: str) -> Iterator[Done[Any, Any]]:
        """Outcomes as they come."""
        self._last_try = count == 1
        for _ in range(count):
            self._give(self._hire())
        while self._busy:
            (ready,), _ = self._ray.wait(list(self._busy), num_returns=1)
            actor, number = self._busy.pop(ready)
            try:
                answer = self._ray.get(ready)
            except self._ray.exceptions.RayActorError:
                _LOG.warning("%s: a process died; its work is done again", description)
                self._waiting.append(number)
                actor = self._hire()
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause or error from None
            else:
                if isinstance(answer, Refusal):
                    self._ray.kill(actor)
                    yield from self._refused(answer, number, description)
                    continue
                yield Done(self._items[number], *answer)
            yield from self._given_up()
            self._give(actor)

    def _refused(self, refusal: Refusal, number: int, description: str) -> Iterator[Done[Any, Any]]:
        """Its item waits for the actors that are left."""
        if isinstance(refusal.error, DiskFullError):
            raise refusal.error
        self._attempts[number] -= 1
        self._waiting.append(number)
        if self._last_try and not self._busy:
            yield from (Done(self._items[one], None, refusal.reason) for one in self._waiting)
            self._waiting.clear()
            return
        left = max(1, len(self._busy))
        _LOG.warning("%s: from now on %d at once: %s", description, left, refusal.reason)
        if not self._busy:
            # Perhaps so many at once lack what one would have, such as memory of a GPU.
            self._last_try = True
            self._give(self._hire())

    def _given_up(self) -> Iterator[Done[Any, Any]]:
        for number in [n for n in self._waiting if self._attempts[n] >= _ATTEMPTS]:
            self._waiting.remove(number)
            yield Done(self._items[number], None, _DIED)

    def _give(self, actor: Any) -> None:
        if not self._waiting:
            self._ray.kill(actor)
            return
        number = self._waiting.popleft()
        self._attempts[number] += 1
        handle = actor.work.remote(self._function, self._items[number])
        self._busy[handle] = (actor, number)

    def dismiss(self) -> None:
        """End every actor at once; what it was writing is not there under a final name."""
        for actor, _ in self._busy.values():
            self._ray.kill(actor)


def _ray() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise ConfigurationError(
            "Ray is not installed",
            where="executor=ray",
            remedy="Install it with pip install 'lesion-dynamics[cluster]', or use executor=local.",
        ) from None
    return ray


@contextmanager
def _cluster(ray: Any, executor: ExecutorSettings) -> Iterator[None]:
    """The cluster of the settings; one that runs in this process already is used as it is."""
    if ray.is_initialized():
        yield
        return
    quiet = {"logging_level": logging.WARNING, "configure_logging": False}
    try:
        if executor.address is None:
            wanted = (executor.processes or cores()) * executor.threads_per_process
            ray.init(address="local", num_cpus=wanted, include_dashboard=False, **quiet)
        else:
            ray.init(address=executor.address, **quiet)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"the Ray cluster cannot be used ({str(error).splitlines()[0][:160]})",
            where=f"executor.address={executor.address}",
            remedy="Start it (ray start --head), give its address, or use executor=local.",
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _room(ray: Any, executor: ExecutorSettings) -> int:
    """How many actors are wanted and fit at once."""
    has = ray.cluster_resources()
    fits = int(has.get("CPU", 0) // executor.threads_per_process)
    if executor.gpus_per_process:
        fits = min(fits, int(has.get("GPU", 0) / executor.gpus_per_process))
    if fits < 1:
        raise ConfigurationError(
            f"the cluster has {has.get('CPU', 0):g} cores and {has.get('GPU', 0):g} GPUs: no room "
            f"for one process of {executor.threads_per_process} threads and "
            f"{executor.gpus_per_process:g} GPUs",
            where="executor=ray",
            remedy="Add nodes, or lower executor.threads_per_process or gpus_per_process.",
        )
    return min(executor.processes, fits) if executor.processes else fits
