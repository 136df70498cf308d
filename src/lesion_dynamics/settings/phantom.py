"""How large the phantom is, on which grid, and from which seed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lesion_dynamics.settings.strict import Strict

DEFAULT_SEED = 20250905

Variant = Literal["default", "fine", "small", "baseline"]


class PhantomSettings(Strict):
    """The two synthetic cohorts.

    variant : name of this choice of sizes; written beside the data.
    seed : the same seed gives the same bytes.
    voxel_size_mm : edge of the isotropic grid; some training scans have another grid.
    training_ms, training_nmosd : labelled participants, one session each.
    training_lesion_free : how many of these have no lesion (NMOSD first).
    study_ms, study_nmosd : participants with serial sessions.
    study_lesion_free : how many NMOSD participants never have a lesion.
    sessions_per_participant : serial sessions of the study.
    irregular_participants : per diagnosis, so many have one session less and as many one more.
    follow_up_years : mean time from the first to the last session.
    washout_days : an interval that starts sooner after an attack is not in remission.
    """

    variant: Variant = "default"
    seed: int = Field(DEFAULT_SEED, ge=0)
    voxel_size_mm: float = Field(1.5, ge=0.8, le=4.0)
    training_ms: int = Field(32, ge=1)
    training_nmosd: int = Field(32, ge=1)
    training_lesion_free: int = Field(6, ge=0)
    study_ms: int = Field(31, ge=2)
    study_nmosd: int = Field(30, ge=2)
    study_lesion_free: int = Field(5, ge=0)
    sessions_per_participant: int = Field(3, ge=2)
    irregular_participants: int = Field(2, ge=0)
    follow_up_years: float = Field(4.0, gt=0.5)
    washout_days: float = Field(90.0, ge=0)

    @classmethod
    def of_variant(cls, variant: Variant, *, seed: int = DEFAULT_SEED) -> PhantomSettings:
        """The settings of a named variant."""
        if variant == "fine":
            return cls(variant="fine", seed=seed, voxel_size_mm=1.0)
        if variant == "small":
            return cls(
                variant="small",
                seed=seed,
                voxel_size_mm=3.0,
                training_ms=4,
                training_nmosd=4,
                training_lesion_free=1,
                study_ms=4,
                study_nmosd=4,
                study_lesion_free=1,
                sessions_per_participant=2,
                irregular_participants=0,
            )
        if variant == "baseline":  # labelled scans of 1 mm, and as little else as possible
            return cls(
                variant="baseline",
                seed=seed,
                voxel_size_mm=1.0,
                training_ms=14,
                training_nmosd=10,
                training_lesion_free=4,
                study_ms=2,
                study_nmosd=2,
                study_lesion_free=0,
                sessions_per_participant=2,
                irregular_participants=0,
            )
        return cls(seed=seed)
