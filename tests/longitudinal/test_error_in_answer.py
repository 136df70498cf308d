import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.between import rank_sum_p
from lesion_dynamics.longitudinal.detectable import participants_needed, smallest_detectable
from lesion_dynamics.longitudinal.error_in_answer import error_in_answer, with_noise
from lesion_dynamics.longitudinal.simex import STATISTICS, Rates, simex
from lesion_dynamics.settings.measurement_error import (
    MeasurementErrorSettings,
    VolumeErrorFigures,
)
from lesion_dynamics.settings.study import Publication, PublishedFigure, StudySettings

RATE = "annualised_change_mm3_per_year"


def changes(n: int = 30, *, gain: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    rate = np.concatenate([rng.normal(200, 80, n), rng.normal(20, 40, n)]) * gain
    return pd.DataFrame(
        {"participant_id": [f"sub-{i:02d}" for i in range(2 * n)],
         "diagnosis": ["MS"] * n + ["NMOSD"] * n, "remission_years": 2.0,
         "first_lesion_volume_mm3": 2000.0, "last_lesion_volume_mm3": 2000.0 + 2 * rate,
         "remission_change_mm3": 2 * rate, RATE: rate, "reason": ""}
    )  # fmt: skip


def found(table, figures, *, noise=10.0, **changed) -> pd.DataFrame:
    spread = pd.Series(noise, index=table["participant_id"])
    figure = PublishedFigure(diagnosis="MS", quantity=RATE, statistic="median", estimate=193)
    other = PublishedFigure(diagnosis="NMOSD", quantity=RATE, statistic="median", estimate=25)
    settings = StudySettings(
        name="test", measurement_error=MeasurementErrorSettings(bootstrap_draws=100, **changed),
        published=Publication(source="x", doi="y", figures=(figure, other)),
    )  # fmt: skip
    rows = error_in_answer(
        with_noise(table, spread), spread, figures, model_version="m/1", settings=settings
    )
    return rows.set_index(["diagnosis", "quantity", "statistic"])


def both(**changed) -> dict[str, VolumeErrorFigures]:
    return {name: VolumeErrorFigures(diagnosis=name, **changed) for name in ("MS", "NMOSD")}


def test_changes_are_labelled_by_the_smallest_detectable_change():
    table = with_noise(changes(2), pd.Series({"sub-00": 1.0, "sub-01": 1e6}))
    assert table["beyond_noise"].tolist() == ["yes", "no", "n/a", "n/a"]
    assert table["smallest_detectable_change_mm3"][0] == pytest.approx(1.96, abs=1e-3)


def test_a_gain_is_taken_out_of_the_estimates():
    rows = found(changes(gain=0.8), both(gain=0.8), noise=1e-6)
    corrected = rows.loc[("MS", RATE, "pseudomedian, deconvolved after calibration")]
    assert corrected["estimate"] == pytest.approx(200, abs=25)
    assert corrected["interval_low"] < corrected["estimate"] < corrected["interval_high"]
    assert rows.loc[("MS", RATE, "attenuation"), "estimate"] == pytest.approx(0.8, abs=1e-3)


def test_simex_takes_back_what_noise_took_from_cliffs_delta():
    rng = np.random.default_rng(4)
    ms, nmosd = rng.normal(1, 1, 400), rng.normal(0, 1, 400)
    noise = np.full(400, 0.7)
    noisy = Rates(ms + 0.7 * rng.standard_normal(400), nmosd + 0.7 * rng.standard_normal(400),
                  noise, noise)  # fmt: skip
    delta = STATISTICS["Cliff's delta"]
    truth = float(delta(ms[None], nmosd[None])[0])
    naive = float(delta(noisy.ms[None], noisy.nmosd[None])[0])
    corrected = simex(noisy, "Cliff's delta", order=5)
    assert naive < corrected
    assert abs(corrected - truth) < abs(naive - truth) / 3


def test_a_correction_that_chance_may_undo_says_so():
    key = ("MS", RATE, "pseudomedian, deconvolved after calibration")
    small = found(changes(gain=0.97), both(gain=0.97)).loc[key, "note"]
    large = found(changes(gain=0.5), both(gain=0.5)).loc[key, "note"]
    assert "small against chance" in small
    assert large == ""


def test_a_participants_load_is_calibrated_too():
    # Load says how far a change may lie from the common one; an offset is no load.
    table = changes()
    table["first_lesion_volume_mm3"] = np.linspace(300, 9000, len(table))
    moved = table.copy()
    moved[["first_lesion_volume_mm3", "last_lesion_volume_mm3"]] += 250.0
    key = ("MS", RATE, "pseudomedian, deconvolved after calibration")
    plain, offset, ignored = (
        found(own, both(offset_mm3=value), noise=200.0).loc[key, "estimate"]
        for own, value in ((table, 0.0), (moved, 250.0), (moved, 0.0))
    )
    assert offset == pytest.approx(plain, rel=1e-9)
    assert ignored != pytest.approx(plain, rel=1e-6)


def test_unequal_gain_is_reported_as_what_it_would_fake():
    figures = {
        "MS": VolumeErrorFigures(diagnosis="MS", gain=0.9),
        "NMOSD": VolumeErrorFigures(diagnosis="NMOSD", gain=0.5),
    }
    fake = found(changes(), figures).loc[("MS vs NMOSD", RATE, "shift faked by unequal gain")]
    assert fake["estimate"] > 20
    assert "gain 0.900 in MS and 0.500 in NMOSD" in fake["note"]


def test_without_figures_nothing_is_corrected_and_the_reason_is_given():
    rows = found(changes(), {})
    assert (
        "no error figures of both"
        in rows.loc[("MS vs NMOSD", RATE, "deconvolved after calibration"), "note"]
    )


def test_detectable_difference_is_detected_with_its_power():
    rng = np.random.default_rng(7)
    first, second = rng.normal(0, 1, 31), rng.normal(0, 1, 30)
    least = smallest_detectable(first, second, alpha=0.05, power=0.8)
    # Two normal groups of 30: the t test needs 0.74 standard deviations.
    assert least == pytest.approx(0.74, abs=0.2)
    hits = [rank_sum_p(rng.normal(0.76, 1, 31), rng.normal(0, 1, 30))[0] < 0.05 for _ in range(150)]
    assert 0.7 < np.mean(hits) < 0.9
    needed = participants_needed(first, second, difference=least, alpha=0.05, power=0.8)
    assert needed == pytest.approx(61, abs=2)


def test_a_difference_of_nothing_needs_endless_participants():
    values = np.arange(10.0)
    needed = participants_needed(values, values, difference=0.0, alpha=0.05, power=0.8)
    assert needed == float("inf")


def test_published_difference_and_power_reach_the_rows():
    rows = found(changes(), both())
    needed = rows.loc[("MS vs NMOSD", "participants_needed", "power 80%")]
    assert "168 mm3/year" in needed["note"]
    assert 0 < needed["estimate"] < 60


def test_the_order_of_the_extrapolation_reaches_cliffs_delta():
    key = ("MS vs NMOSD", RATE, "Cliff's delta, SIMEX after calibration")
    estimates = [
        found(changes(), both(), noise=120.0, correction="simex", simex_order=order).loc[
            key, "estimate"
        ]
        for order in (1, 3, 7)
    ]
    assert estimates[0] < min(estimates[1:])
    assert abs(estimates[1] - estimates[2]) > 0.01
