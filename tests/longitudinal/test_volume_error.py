import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.volume_error import change_noise, figures_against_truth
from lesion_dynamics.settings.measurement_error import VolumeErrorFigures


def scans(*, gain: float, offset: float, floor: float, share: float, n: int = 300):
    rng = np.random.default_rng(1)
    volumes = np.repeat(rng.lognormal(7, 1, n), 4)
    bias = np.repeat(rng.normal(0, 5, n), 4)  # the same in all scans: cancels in a change
    noise = rng.standard_normal(volumes.size) * np.hypot(floor, share * volumes)
    keys = pd.DataFrame(
        {"participant_id": np.repeat([f"sub-{i:03d}" for i in range(n)], 4),
         "session_id": np.tile([f"ses-{i}" for i in range(4)], n)}
    )  # fmt: skip
    people = keys[["participant_id"]].drop_duplicates().assign(diagnosis="MS")
    measured = gain * (volumes + noise) + offset + bias
    return (
        keys.assign(lesion_volume_mm3=measured), keys.assign(lesion_volume_mm3=volumes), people
    )  # fmt: skip


def test_the_gain_is_that_of_changes_not_that_between_participants():
    # Who has more lesions is segmented worse, and changes come through at 0.7 all the same.
    rng = np.random.default_rng(5)
    load = np.repeat(np.exp(rng.normal(7.5, 1, 60)), 3)
    names, sessions = np.repeat([f"sub-{i:02d}" for i in range(60)], 3), ["a", "b", "c"] * 60
    true = load * (1 + np.tile([0.0, 0.1, 0.25], 60))
    measured = 0.4 * load + 0.7 * (true - load) + 0.01 * load * rng.standard_normal(180)
    keys = {"participant_id": names, "session_id": sessions}
    people = pd.DataFrame({"participant_id": np.unique(names), "diagnosis": "MS"})
    found = figures_against_truth(
        pd.DataFrame({**keys, "lesion_volume_mm3": measured}),
        pd.DataFrame({**keys, "lesion_volume_mm3": true}), people,
    )["MS"]  # fmt: skip
    assert found.gain == pytest.approx(0.7, abs=0.03)
    # One participant with very many lesions, segmented badly, counts as one.
    large = np.arange(180) < 3
    odd = np.where(large, 0.1 * 300 * true, measured), np.where(large, 300 * true, true)
    tilted = figures_against_truth(
        pd.DataFrame({**keys, "lesion_volume_mm3": odd[0]}),
        pd.DataFrame({**keys, "lesion_volume_mm3": odd[1]}), people,
    )["MS"]  # fmt: skip
    assert tilted.gain == pytest.approx(0.7, abs=0.03)
    # Changes lost in noise say nothing: then the line between participants.
    rough = 0.4 * load + 0.3 * load * rng.standard_normal(180)
    between = figures_against_truth(
        pd.DataFrame({**keys, "lesion_volume_mm3": rough}),
        pd.DataFrame({**keys, "lesion_volume_mm3": load + 0.1 * rng.random(180)}), people,
    )["MS"]  # fmt: skip
    assert between.gain == pytest.approx(0.4, abs=0.06)


def test_gain_offset_and_noise_come_back_from_the_truth():
    found = figures_against_truth(*scans(gain=0.8, offset=40, floor=20, share=0.06))["MS"]
    assert found.gain == pytest.approx(0.8, abs=0.01)
    assert found.offset_mm3 == pytest.approx(40, abs=15)
    assert found.noise_share == pytest.approx(0.06, rel=0.06)
    assert found.noise_mm3 < 60


def test_too_few_scans_give_no_figures():
    measured, true, people = scans(gain=1, offset=0, floor=1, share=0)
    assert figures_against_truth(measured[:8], true[:8], people) == {}


def test_noise_of_a_change_is_that_of_the_ends_of_its_stretches():
    intervals = pd.DataFrame(
        {"participant_id": "sub-01", "start_days": [0, 1, 2, 3], "end_days": [1, 2, 3, 4],
         "start_lesion_volume_mm3": [100.0, 200, 300, 400],
         "end_lesion_volume_mm3": [200.0, 300, 400, 500],
         "is_remission": [True, True, False, True]}
    )  # fmt: skip
    people = pd.DataFrame({"participant_id": ["sub-01"], "diagnosis": ["MS"]})
    figures = {"MS": VolumeErrorFigures(diagnosis="MS", noise_mm3=3, noise_share=0.1)}
    # Stretches 100 -> 300 and 400 -> 500: four scans count.
    expected = np.sqrt(4 * 9 + 0.01 * (100**2 + 300**2 + 400**2 + 500**2))
    assert change_noise(intervals, people, figures)["sub-01"] == pytest.approx(expected)
    assert np.isnan(change_noise(intervals, people, {}).get("sub-01", np.nan))
