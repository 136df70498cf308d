"""A cohort in parts: every participant in one of them, and nothing of the others is read."""

from pathlib import Path

import pandas as pd
import pytest

from lesion_dynamics.cohort import tables
from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.cohort.parts import tables_of_part
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import CohortError


def _tables(people):
    who = [f"sub-{number:02}" for number in people]
    sessions = {
        "participant_id": who * 2,
        "session_id": ["ses-1"] * len(who) + ["ses-2"] * len(who),
    }
    return CohortTables(
        participants=pd.DataFrame({"participant_id": who, "diagnosis": "MS"}),
        sessions=pd.DataFrame(sessions).assign(days_from_baseline=0.0, scanner=None),
        attacks=tables.no_attacks(),
        attacks_recorded=False,
    )


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_every_participant_is_in_one_part_with_all_its_rows(parts):
    whole = _tables([5, 3, 6, 1, 7, 2, 4])
    found = [tables_of_part(whole, (k + 1, parts), where=Path()) for k in range(parts)]
    people = [list(part.participants["participant_id"]) for part in found]
    assert sorted(who for own in people for who in own) == [f"sub-{k:02}" for k in range(1, 8)]
    assert max(map(len, people)) - min(map(len, people)) <= 1
    for own, part in zip(people, found, strict=True):
        assert sorted(part.sessions["participant_id"]) == sorted(own * 2)


def test_parts_do_not_depend_on_the_order_of_the_table():
    one, other = (
        tables_of_part(_tables(people), (2, 3), where=Path())
        for people in ([1, 2, 3, 4, 5, 6], [6, 4, 2, 5, 3, 1])
    )
    assert set(one.participants["participant_id"]) == {"sub-02", "sub-05"}
    assert set(other.participants["participant_id"]) == {"sub-02", "sub-05"}


def test_more_parts_than_participants_are_refused(tree):
    with pytest.raises(CohortError, match="2 participants do not make 3 parts"):
        read_cohort(tree.settings, part=(1, 3))


def test_a_part_has_its_own_scans_and_exclusions_alone(tree):
    tree.image("sub-ms01", "ses-02", "FLAIR").write_bytes(b"broken")
    tree.image("sub-nmo01", "ses-02", "FLAIR").unlink()
    first, second = (read_cohort(tree.settings, part=(k, 2)) for k in (1, 2))
    assert [scan.key for scan in first.scans] == [("sub-ms01", "ses-01")]
    assert [scan.key for scan in second.scans] == [("sub-nmo01", "ses-01")]
    assert [one.who for one in first.exclusions] == ["sub-ms01 ses-02"]
    assert [one.who for one in second.exclusions] == ["sub-nmo01 ses-02"]
    assert set(first.tables.attacks["participant_id"]) == {"sub-ms01"}
    assert second.tables.attacks.empty


def test_a_folder_that_no_table_knows_is_refused_in_every_part(tree):
    (tree.root / "sub-x/ses-1/anat").mkdir(parents=True)
    (tree.root / "sub-x/ses-1/anat/sub-x_ses-1_FLAIR.nii.gz").write_bytes(b"x")
    for k in (1, 2):
        with pytest.raises(CohortError, match="sub-x"):
            read_cohort(tree.settings, part=(k, 2))
