"""Folds taken together are one validation of all scans, each once."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.lesions.agreement import Agreement, agreement, summarise
from lesion_dynamics.workflows.cross_validation import (
    METRICS,
    cross_validation,
    pooled,
    write_cross_validation,
)


def agreements() -> list[Agreement]:
    """Seven scans: some lesion-free, some without a prediction, the rest blocks shifted apart."""
    found = []
    for number in range(7):
        reference, predicted = np.zeros((2, 20, 20, 20), bool)
        if number not in (2, 5):
            reference[4:9, 4:9, 4 : 7 + number] = True
        if number not in (1, 2):
            predicted[4:9, 4 + number // 2 : 9, 4:10] = True
        found.append(
            agreement(
                reference, predicted, voxel_volume_mm3=1.5, connectivity=26,
                minimum_lesion_volume_mm3=0.0, affine=np.eye(4),
            )
        )  # fmt: skip
    return found


SCANS = agreements()
DIAGNOSES = ["MS", "MS", "NMOSD", "MS", "NMOSD", "NMOSD", "MS"]
FOLDS = ([0, 1, 2], [3, 4, 5], [6])


def training(fold: int, places: list[int], **others: Any) -> dict[str, Any]:
    """What a sweep keeps of a fold."""
    return {
        "setting": "default", "seed": 1, "split_seed": 1, "fold": fold, "folds": 3,
        "participants": [f"sub-{place}" for place in places],
        "all": summarise([SCANS[place] for place in places]),
        "by_diagnosis": {
            name: summarise([SCANS[p] for p in places if DIAGNOSES[p] == name])
            for name in {DIAGNOSES[p] for p in places}
        },
        "each": [
            {"participant_id": f"sub-{place}", "session_id": "ses-01", **asdict(SCANS[place])}
            for place in places
        ],
        **others,
    }  # fmt: skip


@pytest.mark.parametrize("folds", [FOLDS, ([2], [0, 1, 3, 4, 5, 6]), (list(range(7)),)])
def test_folds_of_any_size_give_the_means_over_all_scans(folds: tuple[list[int], ...]) -> None:
    whole = summarise(SCANS)
    found = pooled([summarise([SCANS[place] for place in places]) for places in folds])
    for metric, counted in METRICS.items():
        mean, defined, undefined = found[metric]
        assert mean == pytest.approx(whole[metric], rel=1e-12), metric
        assert undefined == (whole[f"{counted}_undefined_count"] if counted else 0)
        assert defined + undefined == len(SCANS)


def test_the_mean_of_the_folds_means_would_be_another_number() -> None:
    means = [summarise([SCANS[place] for place in places])["mean_dice"] for places in FOLDS]
    dice, _, _ = pooled([summarise([SCANS[p] for p in places]) for places in FOLDS])["mean_dice"]
    assert dice is not None
    assert abs(dice - float(np.mean(means))) > 0.01


def test_a_metric_that_no_scan_has_is_said_to_be_undefined() -> None:
    empty = summarise([SCANS[2]])
    assert pooled([empty, empty])["mean_dice"] == (None, 0, 2)
    assert pooled([empty, empty])["mean_volume_difference_mm3"] == (0.0, 2, 0)


def test_the_table_has_every_seed_and_diagnosis_and_says_which_folds_are_there() -> None:
    first = [training(n + 1, places) for n, places in enumerate(FOLDS)]
    second = [training(n + 1, places, seed=2) for n, places in enumerate(FOLDS[:2])]
    alone = training(1, [0, 1], folds=1, setting="no folds")
    table = cross_validation([*first, *second, alone])
    assert set(table["setting"]) == {"default"}
    table = table.set_index(["seed", "diagnosis", "metric"])
    for diagnosis in ("MS", "NMOSD"):
        wanted = summarise([a for a, d in zip(SCANS, DIAGNOSES, strict=True) if d == diagnosis])
        row = table.loc[(1, diagnosis, "mean_volume_difference_mm3")]
        assert row["mean"] == pytest.approx(wanted["mean_volume_difference_mm3"])
        assert row["scans"] == wanted["scan_count"]
    dice = table.loc[(1, "all", "mean_dice")]
    assert (dice["folds"], dice["participants"]) == ("3 of 3", 7)
    assert (dice["scans"], dice["undefined"]) == (6, 1)
    half = table.loc[(2, "all", "mean_dice")]
    assert (half["folds"], half["participants"], half["scans"]) == ("2 of 3", 6, 5)


def test_a_participant_in_two_folds_is_a_defect() -> None:
    with pytest.raises(ValueError, match="a participant validated twice"):
        cross_validation([training(1, [0, 1]), training(2, [1, 2])])


def test_the_files_have_every_scan_once_and_there_are_none_without_folds(tmp_path: Path) -> None:
    folds = [training(n + 1, places) for n, places in enumerate(FOLDS)]
    summary, scans = write_cross_validation(tmp_path, folds)
    table = pd.read_csv(scans, sep="\t", na_values="n/a")
    assert list(table["participant_id"]) == [f"sub-{n}" for n in range(7)]
    assert list(table["fold"]) == [*["1 of 3"] * 3, *["2 of 3"] * 3, "3 of 3"]
    dice = pd.read_csv(summary, sep="\t", na_values="n/a").set_index(["diagnosis", "metric"])
    said = dice.loc[("all", "mean_dice"), "mean"]
    assert said == pytest.approx(table["dice"].mean())  # NaN, undefined, left out
    assert write_cross_validation(tmp_path / "none", [training(1, [0], folds=1)]) == []
    assert not (tmp_path / "none").exists()
