"""In place of worker processes: the same work, one item after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lesion_dynamics.errors import DiskFullError, UserError
from lesion_dynamics.workflows.processes import Done


def in_this_process(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    initializer: Callable[..., None],
    arguments: tuple[Any, ...],
    **_: object,
) -> Iterator[Done[Any, Any]]:
    """As `processes.in_processes` and `spreading.spread`, for tests that patch these."""
    initializer(*arguments)
    for item in items:
        try:
            yield Done(item, function(item), None)
        except DiskFullError:
            raise
        except UserError as error:
            yield Done(item, None, str(error))
