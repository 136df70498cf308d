"""Which other ways of computing the study are shown beside the declared one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lesion_dynamics.settings.strict import Strict


class RobustnessSettings(Strict):
    """The panel. Each line is the whole study with one choice changed.

    washout_days : other lengths of the washout after an attack.
    attack_intervals : True: also over all intervals, attacks or not.
    same_scanner : True: also over intervals with both scans on the same scanner.
    two_point_against_slope : True: also with the robust slope over all scans.
    brain_volume_normalised : True: also with volumes scaled to the cohort's median brain.
    leave_one_out : True: also without each participant; the two most influential are shown.
    extremes_left_out : share of participants of each diagnosis left out at each end of the
        change, or 0 for no such line.
    operating_points : True: also at the other thresholds and minimum lesion volumes that
        inference measured (``lesion_measurements_alternatives.tsv`` beside the measurements).
    other_measurements : from a line's name (another segmentation of the same scans)
        to tables of lesion volumes as for ``measurements``. Rows of the same model version are
        used; a scan that is missing there is missing in that line.
    """

    washout_days: tuple[Annotated[float, Field(ge=0)], ...] = (0, 30, 180)
    attack_intervals: bool = True
    same_scanner: bool = True
    two_point_against_slope: bool = True
    brain_volume_normalised: bool = True
    leave_one_out: bool = True
    extremes_left_out: float = Field(default=0.05, ge=0, lt=0.5)
    operating_points: bool = True
    other_measurements: dict[str, tuple[str, ...]] = Field(default_factory=dict)
