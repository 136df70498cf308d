"""Settings of registering masks that another tool, or a person, made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.operating_point import LESION_CONNECTIVITY, Connectivity
from lesion_dynamics.settings.strict import Strict


class MaskRule(Strict):
    """How a voxel of an outside file becomes lesion; part of what the version is.

    label : None: the file is a mask of 0 and one positive value. ``any``: every positive whole
        number. Whole numbers: those alone (SAMSEG writes lesions as 99).
    threshold : the file holds probabilities; a voxel of this one or more is lesion.
    minimum_lesion_volume_mm3 : a smaller lesion is dropped; 0 keeps every voxel of the tool's.
    connectivity : which neighbours make one lesion.
    """

    label: Literal["any"] | tuple[int, ...] | None = None
    threshold: float | None = Field(default=None, gt=0, le=1)
    minimum_lesion_volume_mm3: float = Field(default=0.0, ge=0)
    connectivity: Connectivity = LESION_CONNECTIVITY

    @model_validator(mode="after")
    def _one_way_to_read(self) -> MaskRule:
        if self.label is not None and self.threshold is not None:
            raise ValueError("label and threshold exclude each other")
        if isinstance(self.label, tuple) and (not self.label or min(self.label) < 1):
            raise ValueError("labels are whole numbers from 1")
        return self


class RegisterMasksSettings(Strict):
    """All of ``lesion-dynamics register-masks``.

    masks : a path with ``{participant_id}`` and ``{session_id}`` in it (with their prefixes), or
        a .tsv or .csv table with the columns participant_id, session_id, mask (paths relative to
        the table).
    name : of the model version, as it will stand in tables. tool, tool_version : what made the
        masks, in its own words.
    output : receives ``<cohort>/<name>-v<number>/``.
    """

    cohort: CohortSettings
    masks: str = Field(min_length=1)
    name: str = Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]*$")
    tool: str = Field(min_length=1)
    tool_version: str = Field(min_length=1)
    rule: MaskRule
    output: Path

    @field_validator("tool_version", mode="before")
    @classmethod
    def _as_written(cls, value: Any) -> Any:
        """A number has lost what was written: 1.10 comes here as 1.1."""
        if isinstance(value, int | float):
            raise ValueError(
                "1.10 would be read as the number 1.1; quote it: tool_version=\"'1.10'\""
            )
        return value
