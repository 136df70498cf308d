"""The sessions of a participant in one unbiased space: rigid, halfway between all of them.

Reuter et al. 2012, doi 10.1016/j.neuroimage.2012.02.084: a space that favours no session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.linalg import expm, logm

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.registration import rigid_registration
from lesion_dynamics.settings.preprocessing import RegistrationSettings


def align_sessions(
    scans: Sequence[PreparedScan], *, settings: RegistrationSettings
) -> list[PreparedScan]:
    """The same scans with `to_participant` set.

    Every session's FLAIR is registered to the first one's, in both directions; the two answers
    are averaged, so the order of two sessions does not matter. The participant's space is the
    mean of all sessions' positions (for two: halfway).

    Raises
    ------
    ScanError : two sessions cannot be registered.
    """
    first = scans[0].sequences["FLAIR"].image
    motions = [np.eye(4)]
    for scan in scans[1:]:
        other = scan.sequences["FLAIR"].image
        forward = rigid_registration(first, other, settings=settings)
        backward = rigid_registration(other, first, settings=settings)
        motions.append(mean_motion([forward, np.linalg.inv(backward)]))
    middle = mean_motion(motions)
    return [
        replace(scan, to_participant=middle @ np.linalg.inv(motion))
        for scan, motion in zip(scans, motions, strict=True)
    ]


def mean_motion(motions: Sequence[Affine]) -> Affine:
    """Mean of rigid motions in the Lie algebra: ``exp(mean(log(M)))``, (4, 4)."""
    logarithms = [np.real(logm(motion)) for motion in motions]
    result: Affine = np.real(expm(np.mean(logarithms, axis=0)))
    return result
