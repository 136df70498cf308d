"""Splits are by participant, stratified, and do not depend on the order of rows."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesion_dynamics.cohort.splits import (
    Split,
    extended_split,
    fold_of_participants,
    split_participants,
)
from lesion_dynamics.errors import CohortError


def _participants(ms, nmosd):
    people = [(f"sub-m{i:03d}", "MS") for i in range(ms)]
    people += [(f"sub-n{i:03d}", "NMOSD") for i in range(nmosd)]
    return pd.DataFrame(people, columns=["participant_id", "diagnosis"])


@settings(deadline=None)
@given(st.integers(2, 20), st.integers(0, 20), st.floats(0.01, 0.99), st.integers(0, 9))
def test_everyone_is_on_one_side_and_both_diagnoses_on_both(ms, nmosd, fraction, seed):
    split = split_participants(_participants(ms, nmosd), validation_fraction=fraction, seed=seed)
    assert not set(split.training) & set(split.validation)
    assert len(split.training) + len(split.validation) == ms + nmosd
    for letter, count in (("m", ms), ("n", nmosd)):
        validating = sum(who.startswith(f"sub-{letter}") for who in split.validation)
        if count >= 2:
            assert 1 <= validating < count
            assert abs(validating - fraction * count) <= 1
        else:
            assert validating == 0


def test_the_order_of_rows_does_not_matter():
    people = _participants(12, 9)
    shuffled = people.sample(frac=1, random_state=3)
    assert split_participants(people, validation_fraction=0.3, seed=1) == split_participants(
        shuffled, validation_fraction=0.3, seed=1
    )


def test_the_seed_and_the_fraction_are_alive():
    people = _participants(20, 20)
    splits = {split_participants(people, validation_fraction=0.25, seed=s) for s in range(5)}
    assert len(splits) == 5
    split = split_participants(people, validation_fraction=0.25, seed=0)
    assert len(split.validation) == 10


def test_one_more_participant_moves_at_most_one_other():
    before = split_participants(_participants(20, 2), validation_fraction=0.25, seed=0)
    after = split_participants(_participants(21, 2), validation_fraction=0.25, seed=0)
    assert len(set(before.validation) ^ set(after.validation)) <= 2


def test_a_single_participant_of_each_diagnosis_cannot_be_split():
    with pytest.raises(CohortError, match="cannot be split"):
        split_participants(_participants(1, 1), validation_fraction=0.5, seed=0)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_an_impossible_fraction_is_refused(fraction):
    with pytest.raises(ValueError, match="validation_fraction"):
        split_participants(_participants(4, 4), validation_fraction=fraction, seed=0)


def test_a_participant_twice_is_refused():
    people = pd.concat([_participants(3, 3)] * 2)
    with pytest.raises(ValueError, match="two rows"):
        split_participants(people, validation_fraction=0.5, seed=0)


def test_every_participant_validates_in_exactly_one_fold_and_folds_are_even() -> None:
    people = pd.DataFrame(
        {
            "participant_id": [f"sub-{n:02d}" for n in range(23)],
            "diagnosis": ["MS"] * 14 + ["NMOSD"] * 9,
        }
    )
    splits = [fold_of_participants(people, folds=4, fold=fold, seed=3) for fold in (1, 2, 3, 4)]
    validating = [who for split in splits for who in split.validation]
    assert sorted(validating) == sorted(people["participant_id"])
    assert all(set(s.training) | set(s.validation) == set(validating) for s in splits)
    assert all(not set(s.training) & set(s.validation) for s in splits)
    sizes = [len(split.validation) for split in splits]
    assert max(sizes) - min(sizes) <= 1
    for diagnosis, rows in people.groupby("diagnosis"):
        counts = [len(set(rows["participant_id"]) & set(s.validation)) for s in splits]
        assert max(counts) - min(counts) <= 1, diagnosis
    shuffled = people.sample(frac=1, random_state=1)
    assert fold_of_participants(shuffled, folds=4, fold=2, seed=3) == splits[1]
    assert fold_of_participants(people, folds=4, fold=2, seed=4) != splits[1]


def test_more_folds_than_participants_are_refused() -> None:
    people = pd.DataFrame({"participant_id": ["sub-1", "sub-2"], "diagnosis": ["MS", "MS"]})
    with pytest.raises(CohortError, match=r"2 participant.* cannot be dealt to 3 folds"):
        fold_of_participants(people, folds=3, fold=1, seed=1)


@settings(deadline=None)
@given(
    st.integers(2, 12), st.integers(0, 12), st.integers(0, 8), st.integers(0, 8), st.integers(0, 9)
)
def test_a_cohort_that_grows_moves_nobody(ms, nmosd, more_ms, more_nmosd, seed):
    before = split_participants(_participants(ms, nmosd), validation_fraction=0.3, seed=seed)
    people = _participants(ms + more_ms, nmosd + more_nmosd)
    after = extended_split(before, people, validation_fraction=0.3, seed=seed)
    assert set(before.training) <= set(after.training)
    assert set(before.validation) <= set(after.validation)
    assert len(after.training) + len(after.validation) == len(people)
    assert extended_split(after, people, validation_fraction=0.9, seed=seed + 1) == after
    for letter, old, new in (("m", ms, more_ms), ("n", nmosd, more_nmosd)):
        validating = sum(who.startswith(f"sub-{letter}") for who in after.validation)
        wanted = int((old + new) * 0.3 + 0.5)
        had = sum(who.startswith(f"sub-{letter}") for who in before.validation)
        assert validating == min(max(wanted, had), had + new)


def test_a_changed_diagnosis_moves_nobody_and_who_left_is_gone():
    people = _participants(8, 4)
    before = split_participants(people, validation_fraction=0.25, seed=1)
    people.loc[people["participant_id"] == before.validation[0], "diagnosis"] = "MS lesion-free"
    left = people[people["participant_id"] != before.training[0]]
    after = extended_split(before, left, validation_fraction=0.25, seed=1)
    assert after == Split(before.training[1:], before.validation)
    with pytest.raises(CohortError, match="one side of this cohort empty"):
        extended_split(
            Split(("sub-x",), ("sub-y",)), people.head(1), validation_fraction=0.25, seed=1
        )
