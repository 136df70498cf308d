"""Settings of ``lesion-dynamics promote`` and ``rollback``: gates, and what is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.settings.releases import NAME
from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.tracking import TrackingSettings

GateName = Literal["lesion_f1", "dice", "volume_bias", "detectable_change", "study_verdict"]


class GateSettings(Strict):
    """What a candidate must not lose against the champion, on the same validation scans.

    lesion_f1_margin, dice_margin : it may be lower by this much, in the mean over scans.
    volume_bias_margin : the mean volume difference of a diagnosis may be further from zero by
        this share of the mean reference volume.
    detectable_change_margin : the smallest detectable change of a diagnosis may be larger by
        this share.
    study_verdict : ``computed``: the study compares both versions; ``kept``: and no conclusion
        is lost or reversed.
    required : gates that must be measurable; the others are only shown where they are not.
    """

    lesion_f1_margin: float = Field(ge=0, le=1)
    dice_margin: float = Field(ge=0, le=1)
    volume_bias_margin: float = Field(ge=0)
    detectable_change_margin: float = Field(ge=0)
    study_verdict: Literal["computed", "kept"]
    required: tuple[GateName, ...]


class ValidationPlace(Strict):
    """Where the candidate's validation scans lie, if not where its manifest says.

    root : folder of the cohort. reference_masks : folder of its masks.
    """

    root: Path | None = None
    reference_masks: Path | None = None


class PromoteSettings(Strict):
    """``lesion-dynamics promote``.

    model_version : the candidate. results : folder of the study that compares the versions.
    release : the study is brought up to date for the candidate first, by ``lesion-dynamics
        release`` with these further keys of it (``cohort=bids`` ...); None: it is taken as it is.
    validation : of the candidate; looked at where the champion was validated on other scans and
        is measured again. cache : of preprocessing, for that.
    who : is written into the log; None: the name of the account.
    reason : is written into the log. force : promote although a gate is not passed; needs
        ``reason``.
    """

    model_version: str = Field(min_length=1)
    promotion: GateSettings
    results: Path
    release: tuple[str, ...] | None
    validation: ValidationPlace = ValidationPlace()
    cache: CacheSettings
    who: str | None = Field(default=None, min_length=1, max_length=200)
    reason: str = Field(default="", max_length=1000)
    force: bool = False
    tracking: TrackingSettings

    @model_validator(mode="after")
    def _force_has_a_reason(self) -> PromoteSettings:
        if self.force and not self.reason.strip():
            raise ValueError("force=true needs reason=..., which is written into the log")
        return self


class RollbackSettings(Strict):
    """``lesion-dynamics rollback``: back to the champion before.

    name : of the registered model. reason, who : are written into the log.
    """

    name: str = Field(pattern=NAME)
    reason: str = Field(min_length=1, max_length=1000)
    who: str | None = Field(default=None, min_length=1, max_length=200)
    tracking: TrackingSettings
