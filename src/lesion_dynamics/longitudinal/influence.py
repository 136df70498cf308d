"""The participants on whom the difference between the diagnoses rests most."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES

LEFT_OUT_UP_TO = 1000
"""Participants; above, one of them cannot carry a rank statistic, and all pairs would not fit."""


def most_influential(rates: pd.DataFrame) -> list[tuple[str, str]]:
    """(participant_id, "raises" or "lowers") of the two without whom the shift moves most.

    Parameters
    ----------
    rates : participant_id, diagnosis, rate (finite).

    Returns
    -------
    First the participant without whom the shift MS - NMOSD is smallest (who raises it), then
    the one without whom it is largest. Empty when a diagnosis has fewer than 2 or too many.
    """
    groups = [rates[rates["diagnosis"] == name] for name in DIAGNOSES]
    if min(map(len, groups)) < 2 or len(rates) > LEFT_OUT_UP_TO:
        return []
    first, second = (group["rate"].to_numpy(dtype=np.float64) for group in groups)
    pairs = first[:, None] - second[None, :]
    without = [float(np.median(np.delete(pairs, i, axis=0))) for i in range(first.size)]
    without += [float(np.median(np.delete(pairs, i, axis=1))) for i in range(second.size)]
    names = [*groups[0]["participant_id"], *groups[1]["participant_id"]]
    found = [(names[int(np.argmin(without))], "raises"), (names[int(np.argmax(without))], "lowers")]
    return [found[0]] if found[0][0] == found[1][0] else found
