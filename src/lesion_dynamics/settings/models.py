"""Models beside the rank statistics, and what is tested together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lesion_dynamics.settings.strict import Strict

Transform = Literal["cube_root", "log1p", "none"]
Covariate = Literal["age", "sex", "scanner"]


class ModelSettings(Strict):
    """Mixed, quantile, permutation and count models.

    transform : of the volume before the mixed model. The cube root (mm) takes zeros and makes
        skewed volumes nearly symmetric; ``log1p`` is ln(1 + mm3).
    covariates : of the mixed, quantile and count models. One that is the same for everyone,
        missing in more than a tenth of participants, or told by the others is left out and
        named in the note.
    bootstrap_draws : draws of participants for mixed and quantile models; 0: none.
    permutations : of the diagnosis among participants; 0: none.
    quantiles : of the quantile regression of annualised change.
    """

    transform: Transform = "cube_root"
    covariates: tuple[Covariate, ...] = ("age", "sex", "scanner")
    bootstrap_draws: int = Field(default=500, ge=0)
    permutations: int = Field(default=10_000, ge=0)
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.25, 0.5, 0.75)


class FamilyMember(Strict):
    """A row of ``statistics.tsv`` whose p-value is corrected with its family."""

    diagnosis: Literal["MS", "NMOSD", "MS vs NMOSD"]
    quantity: str
    statistic: str


class Family(Strict):
    """Tests that answer one question together: Holm's correction holds over them."""

    name: str
    members: tuple[FamilyMember, ...] = Field(min_length=1)
