"""How pytest-xdist's files go on when a test ends its whole process."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController


class FileScheduling(LoadFileScheduling):
    """Files to processes; a test that ended its process has failed, the others are still done.

    pytest-xdist 3.8 gives the files of a process that ended to the others whole: those that were
    done as well, with which a process waits for ever, and the test that ended it, which ends the
    next one.
    """

    def remove_node(self, node: WorkerController) -> str | None:
        """See `LoadFileScheduling`: the test that ran, None if the process had nothing to do."""
        files = self.assigned_work.pop(node)
        running = next(
            ((tests, name) for tests in files.values() for name, done in tests.items() if not done),
            None,
        )
        if running is None:
            return None
        tests, ended = running
        tests[ended] = True
        self.workqueue.update(
            {file: left for file, left in files.items() if not all(left.values())}
        )
        for other in self.nodes:
            self._reschedule(other)
        return ended
