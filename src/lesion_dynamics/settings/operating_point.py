"""Where a lesion probability becomes a lesion."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from lesion_dynamics.settings.strict import Strict

Connectivity = Literal[6, 18, 26]
"""Voxels that touch by a face (6), also by an edge (18), also by a corner (26)."""

LESION_CONNECTIVITY: Final[Connectivity] = 26
"""What makes one lesion in every model version that is trained here."""


class OperatingPoint(Strict):
    """How a probability becomes lesions; chosen on validation participants.

    probability_threshold : a voxel of this probability or more is lesion.
    minimum_lesion_volume_mm3 : a smaller lesion is dropped; one of exactly this volume stays.
    connectivity : which neighbours make one lesion.
    """

    probability_threshold: float = Field(gt=0, lt=1)
    minimum_lesion_volume_mm3: float = Field(ge=0)
    connectivity: Connectivity
