"""Settings of ``lesion-dynamics lesion-maps``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.strict import Strict


class LesionMapsSettings(Strict):
    """Maps of where lesions lie, by diagnosis, in MNI space.

    derivatives : the folder of one model version that ``infer.py`` wrote with ``mni=affine`` or
        ``deformable``; maps and tables go into its folder ``group``.
    processes : scans read at once; 0 is one a core.
    permutations : of the comparison between diagnoses. 0: no comparison.
    seed : of the permutations.
    covariates : what the comparison takes into account beside the diagnosis.
    fewest_participants : a voxel is compared where so many have a lesion.
    alpha : family-wise level at which a difference is outlined in the picture.
    """

    cohort: CohortSettings
    derivatives: Path
    processes: int = Field(ge=0)
    permutations: int = Field(ge=0)
    seed: int = Field(ge=0)
    covariates: tuple[Literal["age", "sex"], ...]
    fewest_participants: int = Field(ge=1)
    alpha: float = Field(gt=0, lt=1)
