"""Tables are typed, ordered, and refused as a whole where one cell is wrong."""

import time

import numpy as np
import pytest

from lesion_dynamics.cohort.reading import read_tables
from lesion_dynamics.errors import CohortError


def test_the_tables_of_a_cohort(tree):
    found = read_tables(tree.settings)
    assert found.participants["participant_id"].tolist() == ["sub-ms01", "sub-nmo01"]
    assert found.participants["diagnosis"].tolist() == ["MS", "NMOSD"]
    assert found.participants["sex"].tolist() == ["F", "M"]
    assert found.participants["age_years"].iloc[0] == 31
    assert np.isnan(found.participants["age_years"].iloc[1])
    assert found.participants["scanner"].isna().tolist() == [False, True]
    assert found.sessions["days_from_baseline"].tolist() == [0, 370, 0, 370]
    assert found.attacks["days_from_baseline"].tolist() == [-400]
    assert found.attacks_recorded


def test_a_session_without_a_scanner_has_the_participants(tree):
    scanners = read_tables(tree.settings).sessions["scanner"]
    assert scanners.iloc[:3].tolist() == ["siteB", "siteA", "siteB"]
    assert scanners.isna().tolist() == [False, False, False, True]


def test_the_order_of_rows_and_columns_does_not_matter(tree):
    before = read_tables(tree.settings)
    tree.table(
        "participants.tsv",
        "sex scanner age diagnosis participant_id",
        "M n/a n/a NMOSD sub-nmo01",
        "F siteA 31 MS sub-ms01",
    )
    tree.table(
        "sub-ms01/sub-ms01_sessions.tsv",
        "scanner days_from_baseline session_id",
        "n/a 370 ses-02",
        "siteB 0 ses-01",
    )
    after = read_tables(tree.settings)
    for name in ("participants", "sessions", "attacks"):
        assert getattr(before, name).equals(getattr(after, name))


def test_sessions_are_in_the_order_of_days_not_of_names(tree):
    tree.table(
        "sub-ms01/sub-ms01_sessions.tsv", "session_id days_from_baseline", "ses-b 0", "ses-a 90"
    )
    assert read_tables(tree.settings).sessions["session_id"].tolist()[:2] == ["ses-b", "ses-a"]


def test_without_a_table_attacks_are_not_recorded_rather_than_none(tree):
    (tree.root / "phenotype" / "attacks.tsv").unlink()
    found = read_tables(tree.settings)
    assert not found.attacks_recorded
    assert found.attacks.empty


def test_an_attack_without_a_date_stays_without_one(tree):
    tree.table(
        "phenotype/attacks.tsv",
        "participant_id attack_id days_from_baseline",
        "sub-ms01 1 n/a",
    )
    assert read_tables(tree.settings).attacks["days_from_baseline"].isna().tolist() == [True]


def test_an_age_over_89_as_bids_writes_it(tree):
    tree.table("participants.tsv", "participant_id diagnosis age", "sub-ms01 MS 89+",
               "sub-nmo01 NMOSD 40")  # fmt: skip
    assert read_tables(tree.settings).participants["age_years"].tolist() == [89, 40]


def test_a_byte_order_mark_and_windows_lines_are_read(tree):
    path = tree.root / "participants.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read_tables(tree.settings).participants) == 2


PEOPLE = ("participants.tsv", "participant_id diagnosis age sex")
SESSIONS = ("sub-ms01/sub-ms01_sessions.tsv", "session_id days_from_baseline")
ATTACKS = ("phenotype/attacks.tsv", "participant_id attack_id days_from_baseline")


@pytest.mark.parametrize(
    ("table", "rows", "message"),
    [
        (PEOPLE, ["sub-ms01 n/a 3 F"], "participant sub-ms01 has no diagnosis"),
        (PEOPLE, ["sub-ms01 ADEM 3 F"], "participant sub-ms01 has 'ADEM'"),
        (PEOPLE, ["sub-ms01 ms 3 F"], "has 'ms'"),
        (PEOPLE, ["sub-ms01 MS 3 F"] * 2, "sub-ms01 has two rows"),
        (PEOPLE, ["sub-ms01 MS old F"], "age of sub-ms01 is 'old', not a number"),
        (PEOPLE, ["sub-ms01 MS inf F"], "age of sub-ms01 is 'inf', not a number"),
        (PEOPLE, ["sub-ms01 MS 3 Q"], "the sex 'Q' is unknown"),
        (PEOPLE, ["ms01 MS 3 F"], "'ms01' is not a BIDS id"),
        (PEOPLE, ["sub-../x MS 3 F"], "is not a BIDS id"),
        (PEOPLE, ["sub-ms01 MS 3"], "row 1 has 3 cells, the header has 4"),
        (PEOPLE, [], "the cohort has no participant"),
        (("participants.tsv", "participant_id age"), ["sub-ms01 3"], "column diagnosis is missing"),
        (("participants.tsv", "participant_id,diagnosis"), ["a,b"], "found: participant_id,diag"),
        (("participants.tsv", "participant_id diagnosis age age"), [], "a column is there twice"),
        (SESSIONS, ["ses-01 n/a"], "session sub-ms01 ses-01 has no days"),
        (SESSIONS, ["ses-01 soon"], "days_from_baseline of sub-ms01 ses-01 is 'soon'"),
        (SESSIONS, ["ses-01 0", "ses-01 9"], "sub-ms01 ses-01 has two rows"),
        (SESSIONS, ["01 0"], "'01' is not a BIDS id"),
        ((SESSIONS[0], "session_id"), ["ses-01"], "days_from_baseline is missing"),
        (ATTACKS, ["sub-x 1 5"], "belongs to sub-x, who is no participant"),
        (ATTACKS, ["sub-ms01 1 5", "sub-ms01 1 6"], "sub-ms01 1 has two rows"),
        (ATTACKS, ["sub-ms01 1 spring"], "is 'spring', not a number"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_with_the_file_and_the_cell(tree, table, rows, message):
    name, header = table
    tree.table(name, header, *rows)
    with pytest.raises(CohortError) as refused:
        read_tables(tree.settings)
    assert message in str(refused.value)
    assert refused.value.where == str(tree.root / name)
    assert "\n" not in str(refused.value)


def test_a_table_in_another_encoding_is_refused(tree):
    (tree.root / "participants.tsv").write_bytes(
        "participant_id\tdiagnosis\nsub-é".encode("latin1")
    )
    with pytest.raises(CohortError, match="UTF-8"):
        read_tables(tree.settings)


def test_a_missing_table_of_participants_is_refused(tree):
    (tree.root / "participants.tsv").unlink()
    with pytest.raises(CohortError, match=r"participants\.tsv is missing"):
        read_tables(tree.settings)


def test_missing_sessions_are_refused(tree):
    (tree.root / "sub-ms01" / "sub-ms01_sessions.tsv").unlink()
    with pytest.raises(CohortError, match="the sessions of sub-ms01 have no days"):
        read_tables(tree.settings)


def test_two_thousand_participants_take_a_second(tree):
    people = [f"sub-{number:05d}" for number in range(2000)]
    tree.table("participants.tsv", "participant_id diagnosis", *[f"{who} MS" for who in people])
    for who in people:
        folder = tree.root / who
        folder.mkdir()
        (folder / f"{who}_sessions.tsv").write_text(
            "session_id\tdays_from_baseline\nses-01\t0\nses-02\t300\n"
        )
    (tree.root / "phenotype" / "attacks.tsv").unlink()
    start = time.process_time()
    assert len(read_tables(tree.settings).sessions) == 4000
    assert time.process_time() - start < 2
