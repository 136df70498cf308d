"""Who trains and who validates: by participant, never by scan."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import pandas as pd

from lesion_dynamics.errors import CohortError


@dataclass(frozen=True, slots=True)
class Split:
    """Participant ids of both sides, each sorted; together all participants, each once."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


def split_participants(
    participants: pd.DataFrame, *, validation_fraction: float, seed: int
) -> Split:
    """Split participants, stratified by diagnosis.

    Within a diagnosis, participants are ordered by a hash of seed and id, and the first
    ``validation_fraction`` of them (rounded, half up) validate. The result does not depend on
    the order of rows, and a participant who joins the cohort moves at most one other across.
    A diagnosis with two or more participants is on both sides; a single one trains.

    Parameters
    ----------
    participants : columns participant_id and diagnosis, one row a participant.
    validation_fraction : between 0 and 1, both excluded.

    Raises
    ------
    CohortError : nobody is left to validate: no diagnosis has two participants.
    ValueError : a fraction outside (0, 1), or a participant twice.
    """
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction must be between 0 and 1, not {validation_fraction}")
    if participants["participant_id"].duplicated().any():
        raise ValueError("a participant has two rows")
    training: list[str] = []
    validation: list[str] = []
    for _, members in participants.groupby("diagnosis"):
        ranked = sorted(members["participant_id"], key=lambda who: _rank(who, seed))
        count = math.floor(len(ranked) * validation_fraction + 0.5)
        count = min(max(count, 1), len(ranked) - 1)
        validation += ranked[:count]
        training += ranked[count:]
    if not validation:
        raise CohortError(
            f"{len(participants)} participant(s) cannot be split into training and validation",
            where="participants.tsv",
            remedy="Give at least two participants of one diagnosis.",
        )
    return Split(tuple(sorted(training)), tuple(sorted(validation)))


def extended_split(
    before: Split, participants: pd.DataFrame, *, validation_fraction: float, seed: int
) -> Split:
    """The split of a cohort that has grown: who had a side before keeps it.

    Of the new participants of a diagnosis, ordered by a hash of seed and id, so many validate as
    bring the diagnosis nearest to ``validation_fraction``; the others train. Those who have left
    the cohort are left out.

    Parameters and errors : as `split_participants`.
    """
    if participants["participant_id"].duplicated().any():
        raise ValueError("a participant has two rows")
    here = set(participants["participant_id"])
    training = [who for who in before.training if who in here]
    validation = [who for who in before.validation if who in here]
    known = {*training, *validation}
    for _, members in participants.groupby("diagnosis"):
        everyone = set(members["participant_id"])
        new = sorted(everyone - known, key=lambda who: _rank(who, seed))
        wanted = math.floor(len(everyone) * validation_fraction + 0.5)
        count = min(max(wanted - len(everyone & set(validation)), 0), len(new))
        validation += new[:count]
        training += new[count:]
    if not validation or not training:
        raise CohortError(
            "the earlier split leaves one side of this cohort empty",
            where="split_from",
            remedy="Name a model version of this cohort, or leave split_from out.",
        )
    return Split(tuple(sorted(training)), tuple(sorted(validation)))


def fold_of_participants(participants: pd.DataFrame, *, folds: int, fold: int, seed: int) -> Split:
    """One split of a cross-validation: the participants of one fold validate.

    Within a diagnosis, participants are ordered by a hash of seed and id and dealt to the folds
    in turn; the next diagnosis goes on with the next fold. So each participant validates in
    exactly one fold, and folds differ by at most one participant, in all and of each diagnosis.

    Parameters
    ----------
    participants : columns participant_id and diagnosis, one row a participant.
    folds : 2 or more. fold : 1 to ``folds``.

    Raises
    ------
    CohortError : fewer participants than folds.
    ValueError : no such fold, or a participant twice.
    """
    if not 1 <= fold <= folds or folds < 2:
        raise ValueError(f"there is no fold {fold} of {folds}")
    if participants["participant_id"].duplicated().any():
        raise ValueError("a participant has two rows")
    if len(participants) < folds:
        raise CohortError(
            f"{len(participants)} participant(s) cannot be dealt to {folds} folds",
            where=f"folds={folds}",
            remedy="Ask for fewer folds.",
        )
    dealt: list[str] = []
    for _, members in participants.groupby("diagnosis"):
        dealt += sorted(members["participant_id"], key=lambda who: _rank(who, seed))
    validation = dealt[fold - 1 :: folds]
    return Split(tuple(sorted(set(dealt) - set(validation))), tuple(sorted(validation)))


def _rank(participant_id: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{participant_id}".encode()).hexdigest()
