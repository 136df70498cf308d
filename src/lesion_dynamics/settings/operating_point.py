"""Where a lesion probability becomes a lesion."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lesion_dynamics.settings.strict import Strict


class OperatingPoint(Strict):
    """Chosen on validation participants; owned by the model version.

    probability_threshold : a voxel is lesion from this probability on.
    minimum_lesion_volume_mm3 : smaller connected components are dropped.
    connectivity : 6, 18 or 26 neighbours make one lesion.
    """

    probability_threshold: float = Field(gt=0, lt=1)
    minimum_lesion_volume_mm3: float = Field(ge=0)
    connectivity: Literal[6, 18, 26]
