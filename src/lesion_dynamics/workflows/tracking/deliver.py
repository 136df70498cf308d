"""Send what a tracking store could not take while it was away."""

from __future__ import annotations

import logging

from lesion_dynamics.errors import OutputError
from lesion_dynamics.settings.deliver import DeliverSettings

_LOG = logging.getLogger(__name__)


def run(settings: DeliverSettings) -> None:
    """Deliver the spool of this tracking; runs whose process was killed end as KILLED.

    Raises
    ------
    OutputError : the store does not answer, or has stopped answering on the way.
    """
    from lesion_dynamics.records.spool.pending import deliver_pending, spool_folder
    from lesion_dynamics.records.store import connect

    done = deliver_pending(settings.tracking, connect(settings.tracking))
    _LOG.info(
        "delivered: %d run(s); waiting: %d; in the hands of a running training: %d",
        done.runs,
        done.waiting,
        done.in_use,
    )
    if done.waiting:
        raise OutputError(
            f"{done.waiting} run(s) are not wholly delivered",
            where=spool_folder(settings.tracking),
            remedy="Start the command again when the tracking server answers; nothing is lost.",
        )
