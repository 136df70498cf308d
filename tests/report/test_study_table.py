import pandas as pd
import pytest

from lesion_dynamics.longitudinal.estimate import Estimate
from lesion_dynamics.longitudinal.side_by_side import published_figures
from lesion_dynamics.longitudinal.study import Row, table_of
from lesion_dynamics.report.study_table import number_text, p_text, study_text
from lesion_dynamics.settings.study import Publication, PublishedFigure


def statistics(version: str, estimate: float) -> pd.DataFrame:
    found = Estimate(estimate=estimate, n=31, p_value=0.0004).with_interval(
        3000, 4000.4, level=0.95, method="test"
    )
    rows = [
        Row("MS", "first_lesion_volume_mm3", "median", "mm3", found),
        Row("MS", "remission_change_mm3", "pseudomedian", "mm3", found),
        Row("MS vs NMOSD", "annualised_change_mm3_per_year", "Cliff's delta", "", Estimate(0.5)),
    ]
    return table_of(rows, model_version=version)


PUBLISHED = published_figures(
    Publication(
        source="A study",
        doi="10.1/x",
        figures=(
            PublishedFigure(
                diagnosis="MS", quantity="first_lesion_volume_mm3", statistic="median",
                estimate=3493,
            ),
            PublishedFigure(
                diagnosis="MS", quantity="remission_change_mm3", statistic="pseudomedian",
                p_value=0.001, p_value_is_bound=True,
            ),
        ),
    )
)  # fmt: skip


def test_measured_true_and_published_share_a_line():
    both = pd.concat([statistics("segmenter/3", 3512.3), statistics("truth", 3600.0)])
    text = study_text(both, PUBLISHED, title="Title", remarks=["A remark [1]."])
    lines = text.splitlines()
    assert lines[0] == "Title"
    assert lines[-1] == "A remark [1]."
    (volume,) = [line for line in lines if "first lesion volume" in line]
    assert volume.split()[-6:] == ["(mm3)", "3,512", "[3,000,", "4,000]", "3,600", "3,493"]
    (p,) = [line for line in lines if "signed-rank p" in line]
    assert p.split()[-3:] == ["<0.001", "<0.001", "<0.001"]
    assert "segmenter/3" in text
    assert "0.50" in text
    assert max(map(len, lines)) <= 110


def test_ten_model_versions_are_all_there_and_whole():
    versions = [f"lesion-segmenter/{i}" for i in range(1, 11)]
    table = pd.concat([statistics(version, 1000.0 + i) for i, version in enumerate(versions)])
    text = study_text(table, PUBLISHED, title="", remarks=[])
    assert all(version in text for version in versions)
    assert text.count("[3,000, 4,000]") == 20


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(12345.6, "mm3", "12,346"), (-0.2, "mm3", "0"), (0.456, "", "0.46"), (float("nan"), "", "-")],
)
def test_numbers_read_as_in_a_paper(value, unit, text):
    assert number_text(value, unit=unit) == text


def test_p_values_read_as_in_a_paper():
    texts = [p_text(p) for p in (0.0009, 0.0461, 1.0, float("nan"))]
    assert texts == ["<0.001", "0.046", "1.000", "-"]
