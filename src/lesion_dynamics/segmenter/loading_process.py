"""Processes that load training patches: none is a fork of the process that trains."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from functools import partial
from multiprocessing.context import ForkServerContext

import torch

from lesion_dynamics.segmenter.freed_memory import keep_freed_memory
from lesion_dynamics.worker_process import follow_parent

_LOADED_ONCE = (
    "torch.utils.data",
    "lesion_dynamics.segmenter.augmentation",
    "lesion_dynamics.segmenter.loading_process",
    "lesion_dynamics.segmenter.patches",
    "lesion_dynamics.synthesis.source",
)
"""What such a process works with, without the training loop around it."""


def loading_context() -> ForkServerContext:
    """How they are started: from a process that has loaded what they need and runs no threads.

    The process that trains runs several (torch's, the tracking's, those of libraries that stay
    when their work is done); a fork copies the locks that they hold, and can wait for them for
    ever.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_LOADED_ONCE))
    return context


def loading_begin() -> Callable[[int], None]:
    """What such a process does first, by its number; to be asked for in the one that trains."""
    return partial(
        _begin,
        deterministic=torch.are_deterministic_algorithms_enabled(),
        warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _begin(_number: int, *, deterministic: bool, warn_only: bool) -> None:
    follow_parent()
    keep_freed_memory()
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # A patch has the same bits whatever process makes it.
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
