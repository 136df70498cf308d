"""Processes that train together: one that loses the others says so in one line, and ends with 2.

Lightning watches the processes it starts: within five seconds after one of them ended badly it ends
the first process with SIGKILL, which may be in the middle of a step, or closing the record of its
own failure. Here that process is left to come to its next exchange with the others, which fails at
once; only where it never gets out of one does its watch end it.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

from lesion_dynamics.errors import EXIT_USER_ERROR, PeerLostError

_LOG = logging.getLogger(__name__)
_LOOK_EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 60.0
"""A step, and the exchange after it, that can still fail by itself."""
_PATIENCE_AT_START_SECONDS = 5.0
"""Before the processes have found each other there is no exchange that could fail."""


def rank() -> int:
    """Which of the processes that train together this one is, from 0."""
    return int(getattr(rank_zero_only, "rank", 0))


def is_of_the_connection(error: RuntimeError) -> bool:
    """Whether another process cannot be reached."""
    # Gloo raises a plain RuntimeError that names its own source file; NCCL a DistError.
    return isinstance(error, torch.distributed.DistError) or "gloo/transport" in str(error)


def reason(error: RuntimeError) -> str:
    """What such an error says, without its source file and its advice."""
    gloos = re.search(r"gloo/transport\S*\] ([\w ]*\w)", str(error))
    return gloos[1] if gloos else str(error).partition("\n")[0]


def peer_lost(said: str, processes: int) -> PeerLostError:
    """In the words of this process."""
    return PeerLostError(
        f"this process lost the others of its training ({said})",
        where=f"process {rank() + 1} of {processes}",
        remedy="Another one says why it ended; mend that and start the same command again: it goes "
        "on from the last epoch.",
    )


class PatientDDP(DDPStrategy):
    """Lightning's DDP, with a watch over the processes that leaves the first one its last words."""

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = _Launcher(self.cluster_environment, self.num_processes, self.num_nodes)


class _Launcher(_SubprocessScriptLauncher):
    procs: list[subprocess.Popen[bytes]]

    def launch(
        self,
        function: Callable[..., Any],
        *args: Any,
        trainer: Trainer | None = None,
        **kwargs: Any,  # Lightning's interface prescribes it
    ) -> Any:
        def watched(*given: Any, **named: Any) -> Any:
            children = list(self.procs)
            # Lightning's observer looks after this very list: it finds nobody in it, and ends.
            self.procs.clear()
            self.procs = children  # Ctrl-C ends those
            watch = _Watch(children, processes=self.num_processes * self.num_nodes)
            watch.start()
            try:
                return function(*given, **named)
            finally:
                watch.left.set()

        return super().launch(watched, *args, trainer=trainer, **kwargs)


class _Watch(threading.Thread):
    """Ends this process if another one ended badly and it does not leave the training itself.

    Parameters
    ----------
    children : started by this process.
    processes : that train together, on all nodes.
    """

    def __init__(self, children: Sequence[subprocess.Popen[bytes]], *, processes: int) -> None:
        super().__init__(daemon=True, name="watch-over-processes")
        self._children = children
        self._processes = processes
        self.left = threading.Event()

    def run(self) -> None:
        while not self.left.wait(_LOOK_EVERY_SECONDS):
            ended = next((one for one in self._children if one.poll()), None)
            if ended is None:
                continue
            found = torch.distributed.is_initialized()
            if not self.left.wait(_PATIENCE_SECONDS if found else _PATIENCE_AT_START_SECONDS):
                self._end(ended)
            return

    def _end(self, ended: subprocess.Popen[bytes]) -> None:
        """No error reaches a thread that waits for another process: only the process can end."""
        status = ended.returncode
        how = f"signal {-status}" if status < 0 else f"status {status}"
        number = rank() + self._children.index(ended) + 2
        _LOG.error("%s", peer_lost(f"process {number} ended with {how}", self._processes))
        for one in self._children:
            one.kill()  # they may wait as this one does
        os._exit(EXIT_USER_ERROR)
