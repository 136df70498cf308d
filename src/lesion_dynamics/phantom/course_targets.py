"""What the phantom's truth must reproduce, from the study that it imitates.

Hong et al., J Clin Neurol 2025;21(5):433-438, doi 10.3988/jcn.2025.0199.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CourseTargets:
    """Medians over the participants of one diagnosis, and the spread around them.

    first_mm3, last_mm3 : lesion volume at the first and last session.
    change_mm3_per_year : annualised change over remission intervals.
    baseline_sigma : standard deviation of ln(volume) at the first session.
    attack_share : share of participants with an attack between two sessions.
    rate_follows_load : correlation of the ranks of change and first volume.
    """

    first_mm3: float
    last_mm3: float
    change_mm3_per_year: float
    baseline_sigma: float
    attack_share: float
    rate_follows_load: float


TARGETS = {
    "MS": CourseTargets(3493.0, 4430.0, 193.0, 1.15, 0.40, 0.45),
    "NMOSD": CourseTargets(640.0, 930.0, 25.0, 1.15, 0.55, -0.35),
}
