"""Mean and spread over the seeds of each setting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.report.sweep_comparison import (
    compare,
    draw_comparison,
    settings_of,
    too_few,
)


@pytest.fixture
def trainings() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "setting": ["unet", "unet", "unet", "dynunet"],
            "final_mean_dice": [0.5, 0.6, 0.7, 0.8],
            "final_mean_lesion_f1": [0.1, np.nan, 0.3, np.nan],
        }
    )


def test_seeds_and_folds_are_pooled_and_what_all_trainings_share_is_left_out() -> None:
    sweep = [["seed=1", "loss=blob", "fold=1"], ["seed=2", "loss=blob", "fold=2"]]
    assert settings_of(sweep) == ["default"] * 2
    folds = [
        [f"segmenter={n}", "folds=2", f"fold={k}"] for n in ("unet", "dynunet") for k in (1, 2)
    ]
    assert settings_of(folds) == ["segmenter=unet"] * 2 + ["segmenter=dynunet"] * 2
    assert settings_of([["seed=1", "loss=blob"], ["seed=2", "loss=blob"]]) == ["default"] * 2
    assert settings_of([["split_seed=2", "seed=1"]]) == ["split_seed=2"]


def test_mean_and_spread_are_over_the_trainings_where_the_metric_is_defined(
    trainings: pd.DataFrame,
) -> None:
    table = compare(trainings).set_index(["setting", "metric"])
    dice = table.loc[("unet", "mean_dice")]
    assert (dice["trainings"], dice["undefined"]) == (3, 0)
    assert (dice["mean"], dice["standard_deviation"]) == pytest.approx((0.6, 0.1))
    assert (dice["lowest"], dice["highest"]) == (0.5, 0.7)
    f1 = table.loc[("unet", "mean_lesion_f1")]
    assert (f1["trainings"], f1["undefined"], f1["mean"]) == (2, 1, pytest.approx(0.2))
    single = table.loc[("dynunet", "mean_dice")]
    assert single["mean"] == 0.8
    assert np.isnan(single["standard_deviation"])  # one training has no spread
    assert np.isnan(table.loc[("dynunet", "mean_lesion_f1"), "mean"])


def test_a_setting_with_fewer_than_three_trainings_is_named(trainings: pd.DataFrame) -> None:
    assert too_few(trainings) == {"dynunet": 1}
    assert too_few(trainings.drop(index=1)) == {"unet": 2, "dynunet": 1}


def test_the_picture_shows_every_training(trainings: pd.DataFrame, tmp_path: Path) -> None:
    whole, _ = draw_comparison(tmp_path / "whole", trainings)
    fewer, _ = draw_comparison(tmp_path / "fewer", trainings.drop(index=1))
    assert whole.read_bytes() != fewer.read_bytes()
    undefined = trainings["setting"].eq("unet") & trainings["final_mean_lesion_f1"].isna()
    assert undefined.sum() == 1
    named = ["setting", "final_mean_lesion_f1"]
    told, _ = draw_comparison(tmp_path / "told", trainings[named])
    untold, _ = draw_comparison(tmp_path / "untold", trainings.loc[~undefined, named])
    assert told.read_bytes() != untold.read_bytes()  # "1 undefined"
