"""How the study is computed, and the published figures it is laid beside."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lesion_dynamics.settings.measurement_error import MeasurementErrorSettings
from lesion_dynamics.settings.models import Family, ModelSettings
from lesion_dynamics.settings.robustness import RobustnessSettings
from lesion_dynamics.settings.strict import Strict

ZeroMethod = Literal["pratt", "wilcox", "zsplit"]
"""What the signed-rank test does with participants whose volume did not change.

``pratt`` ranks them and leaves their ranks out of the sum: they make the changes of the others
rank higher, so an unchanged participant still counts as evidence of size. ``wilcox`` drops them
before ranking. ``zsplit`` shares their ranks between gains and losses.
"""


class PublishedFigure(Strict):
    """One number of a publication.

    diagnosis : the group it was computed in, or the comparison.
    quantity, statistic : the row of ``statistics.tsv`` it is laid beside.
    estimate : in ``unit``; None where only a p-value was published.
    p_value : as published.
    p_value_is_bound : True for "p < p_value".
    """

    diagnosis: Literal["MS", "NMOSD", "MS vs NMOSD"]
    quantity: str
    statistic: str
    estimate: float | None = None
    unit: str = ""
    p_value: float | None = Field(default=None, gt=0, le=1)
    p_value_is_bound: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> PublishedFigure:
        if self.estimate is None and self.p_value is None:
            raise ValueError("a published figure needs an estimate or a p_value")
        return self


class Publication(Strict):
    """Where published figures come from, and the figures."""

    source: str
    doi: str
    figures: tuple[PublishedFigure, ...]


class StudySettings(Strict):
    """The rules of the analysis.

    name : short name, used in titles.
    washout_days : an interval is remission only if each of its ends lies at least so many days
        after the last attack.
    zero_method : the primary signed-rank test; the other two are always reported beside it.
    interval_level : coverage of every interval, e.g. 0.95.
    bootstrap_draws : resamples of participants for the interval of a median.
    seed : of the bootstrap. The same seed gives the same bytes.
    models : mixed, quantile, permutation and count models.
    families : tests that are corrected together (Holm), declared before the analysis.
    robustness : the panel of other choices.
    measurement_error : the segmenter's own error, carried into the answer.
    published : figures to lay beside, or None.
    """

    name: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]*$")
    washout_days: float = Field(default=90, ge=0)
    zero_method: ZeroMethod = "pratt"
    interval_level: float = Field(default=0.95, ge=0.5, lt=1)
    bootstrap_draws: int = Field(default=10_000, ge=100)
    seed: int = Field(default=2025, ge=0)
    models: ModelSettings = ModelSettings()
    families: tuple[Family, ...] = ()
    robustness: RobustnessSettings = RobustnessSettings()
    measurement_error: MeasurementErrorSettings = MeasurementErrorSettings()
    published: Publication | None = None
