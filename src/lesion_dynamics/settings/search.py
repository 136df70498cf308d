"""Settings of ``search.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.tracking import TrackingSettings


class Dimension(Strict):
    """What one key of the training may be: either `choices`, or numbers from `low` to `high`.

    log : spread evenly over the logarithm. whole : whole numbers only.
    """

    choices: tuple[str | int | float | bool, ...] | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Dimension:
        is_range = self.low is not None and self.high is not None
        if is_range == (self.choices is not None) or (self.low is None) != (self.high is None):
            raise ValueError("give either choices, or low and high")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low={self.low} is not below high={self.high}")
        if self.log and not (self.low is not None and self.low > 0):
            raise ValueError("log needs a low above 0")
        return self


class SearchSettings(Strict):
    """A search for the settings of a training with Optuna.

    name : of the search; one that is started again goes on until it has `trials`.
    objective : what is made as large as possible, at the operating point on the validation scans:
        ``score`` is the mean of mean Dice and mean lesion F1.
    space : key of conf/train.yaml -> what it may be.
    overrides : of every training.
    seed : of the search's own draws.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    trials: int = Field(ge=1)
    seed: int = Field(ge=0, lt=2**31)
    objective: Literal["score", "mean_dice", "mean_lesion_f1"]
    space: dict[str, Dimension] = Field(min_length=1)
    overrides: tuple[str, ...]
    tracking: TrackingSettings
    runs: Path
