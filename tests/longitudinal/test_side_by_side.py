import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.estimate import Estimate
from lesion_dynamics.longitudinal.side_by_side import (
    COMPARISON_COLUMNS,
    published_figures,
    side_by_side,
    unmatched,
)
from lesion_dynamics.longitudinal.study import Row, table_of
from lesion_dynamics.settings.study import Publication, PublishedFigure

RATE = "annualised_change_mm3_per_year"


def table(version: str, estimate: float, *, p_value: float = 0.5) -> pd.DataFrame:
    found = Estimate(estimate=estimate, n=9, p_value=p_value)
    row = Row("MS", RATE, "median", "mm3/year", found)
    other = Row("MS", RATE, "median", "mm3/year", Estimate(estimate=-1), "sensitivity")
    return table_of([row, other], model_version=version)


def publication(quantity: str = RATE) -> Publication:
    figure = PublishedFigure(
        diagnosis="MS", quantity=quantity, statistic="median", estimate=193, p_value=0.001,
        p_value_is_bound=True,
    )  # fmt: skip
    return Publication(source="A study", doi="10.1/x", figures=(figure,))


def test_measured_true_and_published_stand_in_one_row_a_model_version():
    statistics = pd.concat([table("m/1", 150.0), table("m/2", 210.0), table("truth", 200.0)])
    found = side_by_side(statistics, publication())
    assert list(found.columns) == list(COMPARISON_COLUMNS)
    assert found["model_version"].tolist() == ["m/1", "m/2"]
    assert found["true"].tolist() == [200, 200]
    assert found["measured_minus_true"].tolist() == [-50, 10]
    assert found["measured_over_true"].tolist() == [0.75, 1.05]
    assert found["published"].tolist() == [193, 193]
    assert found["published_p_value_is_bound"].tolist() == [True, True]


def test_without_truth_and_publication_their_columns_are_missing_values():
    found = side_by_side(table("m/1", 150.0), None)
    assert found[["true", "published", "measured_minus_true"]].isna().all(axis=None)


def test_the_ratio_to_a_true_zero_is_not_a_number():
    found = side_by_side(pd.concat([table("m/1", 5.0), table("truth", 0.0)]), None)
    assert found["measured_minus_true"].tolist() == [5.0]
    assert np.isnan(found["measured_over_true"].iloc[0])


def test_secondary_and_corrected_estimates_stand_beside_their_true_value_too():
    def rows(version: str, factor: float) -> pd.DataFrame:
        shift = Estimate(estimate=100 * factor).with_interval(
            60 * factor, 140 * factor, level=0.95, method="x"
        )
        growth = Estimate(estimate=0.2 * factor)
        own = [
            Row("MS vs NMOSD", RATE, "shift", "mm3/year", shift),
            Row("MS", "transformed_volume_slope", "mixed model", "mm/year", growth, "secondary"),
        ]
        return table_of(own, model_version=version)

    name = "shift, deconvolved after calibration"
    corrected = Estimate(estimate=90.0).with_interval(50, 130, level=0.95, method="x")
    other = Estimate(estimate=0.5)
    errors = table_of(
        [Row("MS vs NMOSD", RATE, name, "mm3/year", corrected, "measurement error"),
         Row("MS vs NMOSD", RATE, "attenuation of shift", "", other, "measurement error")],
        model_version="m/1",
    )  # fmt: skip
    found = side_by_side(pd.concat([rows("m/1", 0.5), rows("truth", 1.0)]), None, errors=errors)
    assert found["statistic"].tolist() == ["shift", "mixed model", name]
    assert found["role"].tolist() == ["primary", "secondary", "corrected"]
    assert found["true"].tolist() == [100, 0.2, 100]
    assert found["measured_minus_true"].tolist() == pytest.approx([-50, -0.1, -10])
    assert found["true_in_interval"].tolist() == ["no", "n/a", "yes"]


def test_a_published_figure_that_nothing_answers_is_named():
    assert unmatched(table("m/1", 5.0), publication()) == []
    assert unmatched(table("m/1", 5.0), publication("misspelt")) == ["MS / misspelt / median"]


def test_a_figure_without_a_number_is_refused():
    with pytest.raises(ValueError, match="needs an estimate or a p_value"):
        PublishedFigure(diagnosis="MS", quantity=RATE, statistic="median")


def test_published_figures_of_no_publication_are_an_empty_table():
    assert published_figures(None).empty
