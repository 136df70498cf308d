from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.side_by_side import published_figures
from lesion_dynamics.longitudinal.study import study_statistics
from lesion_dynamics.report.annualised_change import draw_annualised_change, swarm
from lesion_dynamics.report.trajectories import draw_trajectories
from lesion_dynamics.settings.study import StudySettings

RATE = "annualised_change_mm3_per_year"


def people(n: int, *, diagnosis: str = "MS") -> pd.DataFrame:
    first = np.linspace(0, 30_000, n)
    return pd.DataFrame(
        {
            "model_version": "m/1",
            "participant_id": [f"sub-{i:02d}" for i in range(n)],
            "diagnosis": diagnosis,
            "session_count": 2,
            "first_lesion_volume_mm3": first,
            "last_lesion_volume_mm3": first + 100,
            "follow_up_years": 1.0,
            "total_change_mm3": 100.0,
            "remission_interval_count": 1,
            "remission_years": 1.0,
            "remission_change_mm3": 100.0,
            RATE: np.linspace(-500, 2000, n),
            "annualised_total_change_mm3_per_year": np.linspace(-500, 2000, n),
            "robust_slope_mm3_per_year": np.linspace(-500, 2000, n),
        }
    )


def draw_both(folder: Path, table: pd.DataFrame) -> list[Path]:
    ends = ("first_lesion_volume_mm3", "last_lesion_volume_mm3")
    volumes = pd.concat(
        [
            table[["participant_id"]].assign(
                session_id=f"ses-{i}", days_from_baseline=i * 365.25, lesion_volume_mm3=table[end]
            )
            for i, end in enumerate(ends)
        ]
    )
    intervals = table[["participant_id"]].assign(
        start_days=0.0,
        end_days=365.25,
        start_lesion_volume_mm3=table[ends[0]],
        end_lesion_volume_mm3=table[ends[1]],
        is_remission=np.arange(len(table)) % 2 == 0,
    )
    days = [100.0, np.nan][: len(table)]
    attacks = table[["participant_id"]].head(2).assign(days_from_baseline=days)
    settings = StudySettings(name="test", bootstrap_draws=100)
    statistics = study_statistics(table, model_version="m/1", settings=settings)
    pictures = draw_trajectories(
        folder, volumes=volumes, intervals=intervals, attacks=attacks, changes=table,
        model_version="m/1",
    )  # fmt: skip
    rates = draw_annualised_change(
        folder, changes=table, statistics=statistics, published=published_figures(None)
    )
    return [*pictures, *rates]


def test_the_same_study_gives_the_same_bytes(tmp_path):
    both = pd.concat([people(9), people(8, diagnosis="NMOSD").assign(
        participant_id=[f"sub-n{i}" for i in range(8)]
    )], ignore_index=True)  # fmt: skip
    first, second = draw_both(tmp_path / "a", both), draw_both(tmp_path / "b", both)
    assert [p.name for p in first] == [
        "trajectories.png", "trajectories.svg", "annualised_change.png", "annualised_change.svg",
    ]  # fmt: skip
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


@pytest.mark.parametrize("n", [1, 2])
def test_a_nearly_empty_study_is_still_drawn(tmp_path, n):
    assert all(path.stat().st_size > 0 for path in draw_both(tmp_path, people(n)))


def test_a_study_without_any_change_is_still_drawn(tmp_path):
    assert draw_both(tmp_path, people(4).assign(**{RATE: np.nan, "remission_change_mm3": np.nan}))


def test_no_participant_hides_another():
    values = np.array([0.0] * 12 + [1e-9, 50, 51, 400])
    places = swarm(values)
    assert len(set(zip(places, values, strict=True))) == values.size
    assert np.abs(places).max() <= 1
    assert np.diff(np.sort(places[:12])).min() > 0.1
