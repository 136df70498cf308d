"""Settings of measuring stored masks, and of another operating point on stored probabilities."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lesion_dynamics.settings.operating_point import Connectivity
from lesion_dynamics.settings.outside_masks import MaskRule
from lesion_dynamics.settings.strict import Strict


class MeasureMasksSettings(Strict):
    """All of ``lesion-dynamics measure-masks``.

    masks : a folder of BIDS derivatives with ``sub-*_label-L_mask.nii.gz`` in it.
    output : the table to be written.
    rule : how a voxel becomes lesion. None: masks beside a sidecar of this program as the
        sidecar says, and its model version stands in the table; others as `MaskRule` does
        by default.
    label : model version of masks without such a sidecar, and of all where a rule is given.
    processes : threads that read; 0 is one a core.
    """

    masks: Path
    output: Path
    rule: MaskRule | None = None
    label: str = Field(min_length=1)
    processes: int = Field(ge=0)


class RethresholdSettings(Strict):
    """All of ``lesion-dynamics rethreshold``.

    derivatives : the folder of one model version that ``infer.py`` wrote; the new folder comes
        beside it, named after what differs (``lesion-segmenter-v3+t0.4``).
    threshold, minimum_lesion_volume_mm3, connectivity : None: as the model version has it.
    processes : threads; 0 is one a core.
    """

    derivatives: Path
    threshold: float | None = Field(default=None, gt=0, lt=1)
    minimum_lesion_volume_mm3: float | None = Field(default=None, ge=0)
    connectivity: Connectivity | None = None
    processes: int = Field(ge=0)
