"""A run whose training is whole, though the command that trained it was cut off at the end."""

from __future__ import annotations

import logging

from mlflow.exceptions import MlflowException

from lesion_dynamics.records.spool.delivery import SPOOL_TAG
from lesion_dynamics.records.spool.pending import journals
from lesion_dynamics.records.store import Store
from lesion_dynamics.settings.tracking import TrackingSettings

_LOG = logging.getLogger(__name__)
_CUT_OFF = ("FAILED", "KILLED")


def finish_if_cut_off(store: Store, settings: TrackingSettings, run_id: str) -> None:
    """End the run well if it ended otherwise: its model version is registered and published.

    Between its registration and its end a command can still be killed, or find no room for the
    published copy. A run that is still going is left alone: its own process ends it. What its
    journal held is delivered by then (`open_store`), so the journal goes too.
    """
    try:
        run = store.client.get_run(run_id)
        if run.info.status not in _CUT_OFF:
            return
        store.client.set_terminated(run_id, "FINISHED")
    except MlflowException as error:
        _LOG.warning("tracking: not recorded (%s)", str(error).splitlines()[0])
        return
    spool_id = run.data.tags.get(SPOOL_TAG)
    for journal in journals(settings):
        if journal.spool_id == spool_id and not journal.waits():
            journal.remove()
