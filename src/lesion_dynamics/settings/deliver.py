"""Settings of ``lesion-dynamics deliver``."""

from __future__ import annotations

from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.tracking import TrackingSettings


class DeliverSettings(Strict):
    """Which store is to receive what waits for it."""

    tracking: TrackingSettings
