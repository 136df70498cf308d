import pandas as pd
from docx import Document

from lesion_dynamics.longitudinal.table_one import table_one
from lesion_dynamics.report.paper_tables import csv_of, latex_of, markdown_of, write_paper_tables
from lesion_dynamics.report.word_table import docx_of

PEOPLE = pd.DataFrame(
    {"participant_id": ["sub-01", "sub-02", "sub-03"], "diagnosis": ["MS", "MS", "NMOSD"],
     "age_years": [30.0, 50, None], "sex": ["F", "M", "F"], "scanner": ["A", "B", "A"]}
)  # fmt: skip
CHANGES = pd.DataFrame(
    {"participant_id": ["sub-01", "sub-02", "sub-03"], "session_count": [2, 4, 1],
     "follow_up_years": [1.0, 3.0, None], "remission_years": [1.0, 2.0, None],
     "first_lesion_volume_mm3": [1000.0, 3000.0, 0.0]}
)  # fmt: skip
ATTACKS = pd.DataFrame({"participant_id": ["sub-02", "sub-02"], "days_from_baseline": [1.0, 2.0]})


def rows(*, recorded: bool = True) -> pd.DataFrame:
    return table_one(PEOPLE, CHANGES, ATTACKS, recorded=recorded).set_index("characteristic")


def test_table_one_counts_measures_and_names_what_is_missing():
    table = rows()
    assert table.loc["participants, n"].tolist() == ["2", "1", "3"]
    assert table.loc["age, years", "MS"] == "40 (35 - 45)"
    assert table.loc["age, years", "NMOSD"] == "n/a"
    assert table.loc["age, years", "all"] == "40 (35 - 45); 1 n/a"
    assert table.loc["female, n (%)"].tolist() == ["1 (50%)", "1 (100%)", "2 (67%)"]
    assert table.loc["scanner A, n (%)", "MS"] == "1 (50%)"
    assert table.loc["attacks recorded, n", "MS"] == "1 (0 - 2)"
    assert table.loc["lesion volume at first scan, mm3", "MS"] == "2,000 (1,500 - 2,500)"


def test_unrecorded_attacks_are_not_zero_attacks():
    assert rows(recorded=False).loc["attacks recorded, n"].tolist() == ["n/a"] * 3


def test_special_characters_survive_in_every_format(tmp_path):
    table = pd.DataFrame({"a_b": ["50% & <1", "x|y"], "c": ["1,5", "{z}"]})
    assert csv_of(table).splitlines()[1] == '50% & <1,"1,5"'
    assert markdown_of(table).splitlines()[3] == r"| x\|y | {z} |"
    lines = latex_of(table).splitlines()
    assert lines[2] == r"a\_b & c \\"
    assert lines[4] == r"50\% \& \textless{}1 & 1,5 \\"
    files = write_paper_tables(tmp_path, {"one": table})
    assert set(files) == {"one.csv", "one.md", "one.tex", "one.docx"}
    (grid,) = Document(str(files["one.docx"])).tables
    assert [[cell.text for cell in row.cells] for row in grid.rows] == [
        ["a_b", "c"], ["50% & <1", "1,5"], ["x|y", "{z}"],
    ]  # fmt: skip
    assert docx_of(table) == files["one.docx"].read_bytes()
