"""Work spread as the executor says: processes of this computer, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from lesion_dynamics.settings.inference import ExecutorSettings
from lesion_dynamics.workflows.processes import Done, in_processes

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    executor: ExecutorSettings,
    description: str,
    initializer: Callable[..., None],
    arguments: tuple[Any, ...],
) -> Iterator[Done[Item, Result]]:
    """Yield what became of each item, in the order in which they finish; as `in_processes`.

    Raises
    ------
    ConfigurationError : the cluster cannot be used.
    """
    if executor.kind == "ray":
        from lesion_dynamics.workflows.ray_actors import in_ray_actors

        return in_ray_actors(
            function,
            items,
            executor=executor,
            description=description,
            initializer=initializer,
            arguments=arguments,
        )
    return in_processes(
        function,
        items,
        processes=executor.processes,
        description=description,
        initializer=initializer,
        arguments=arguments,
    )
