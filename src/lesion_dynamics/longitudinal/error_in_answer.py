"""The segmenter's error in the study's answer: corrected estimates, faked ones, and power."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.corrected_estimates import Corrected, deconvolved, extrapolated
from lesion_dynamics.longitudinal.detectable import participants_needed, smallest_detectable
from lesion_dynamics.longitudinal.estimate import MINIMUM_PARTICIPANTS, Estimate
from lesion_dynamics.longitudinal.medians import RESAMPLED_UP_TO
from lesion_dynamics.longitudinal.participant_bootstrap import pseudomedians
from lesion_dynamics.longitudinal.resampled_estimates import PAIRS_UP_TO
from lesion_dynamics.longitudinal.side_by_side import AFTER_CALIBRATION
from lesion_dynamics.longitudinal.simex import DELTA, STATISTICS, Rates
from lesion_dynamics.longitudinal.study import BETWEEN, Row, table_of
from lesion_dynamics.longitudinal.volume_error import Z_95, Figures
from lesion_dynamics.settings.study import StudySettings

Floats = NDArray[np.float64]
RATE = "annualised_change_mm3_per_year"
SDC = "smallest_detectable_change_mm3"
CORRECTED = {
    "deconvolution": f"deconvolved {AFTER_CALIBRATION}",
    "simex": f"SIMEX {AFTER_CALIBRATION}",
}
_METHOD = {"deconvolution": "deconvolution", "simex": "SIMEX"}
ENDS = ["first_lesion_volume_mm3", "last_lesion_volume_mm3"]
SMALL_CORRECTION = 0.5
"""Of the interval's half width: a correction below it is hard to tell from none."""
NO_FIGURES = (
    "no error figures of both diagnoses: give study.measurement_error.figures, or a cohort with"
    " known truth"
)


def with_noise(changes: pd.DataFrame, noise: pd.Series[float]) -> pd.DataFrame:
    """``changes`` with the smallest detectable change and whether the change is beyond it.

    Parameters
    ----------
    changes : table of `change_per_participant`. noise : of `volume_error.change_noise`.

    Adds smallest_detectable_change_mm3 (1.96 standard deviations; missing without figures) and
    beyond_noise ("yes", "no" or "n/a").
    """
    limit = (changes["participant_id"].map(noise).astype("float64") * Z_95).round(3)
    beyond = np.where(changes["remission_change_mm3"].abs() > limit, "yes", "no")
    known = limit.notna() & changes["remission_change_mm3"].notna()
    at = changes.columns.get_loc("reason")
    assert isinstance(at, int)
    found = changes.copy()
    found.insert(at, SDC, limit)
    found.insert(at + 1, "beyond_noise", np.where(known, beyond, "n/a"))
    return found


def error_in_answer(
    changes: pd.DataFrame,
    noise: pd.Series[float],
    figures: Figures,
    *,
    model_version: str,
    settings: StudySettings,
) -> pd.DataFrame:
    """Rows in `STATISTICS_COLUMNS`, role ``measurement error``.

    Parameters
    ----------
    changes : table of `change_per_participant` with `with_noise`.
    noise : standard deviation of each remission change, mm3.
    figures : error figures by diagnosis.
    """
    rows = [*_figure_rows(figures), *_power_rows(changes, settings)]
    rows += _below_noise(changes)
    label = CORRECTED.get(settings.measurement_error.correction)
    if label and set(figures) == set(DIAGNOSES):
        rows += _corrected(changes, noise, figures, settings, label)
    elif label:
        rows.append(_row(BETWEEN, RATE, label, "mm3/year", Estimate(note=NO_FIGURES)))
    return table_of(rows, model_version=model_version)


def _row(diagnosis: str, quantity: str, statistic: str, unit: str, estimate: Estimate) -> Row:
    return Row(diagnosis, quantity, statistic, unit, estimate, "measurement error")


def _figure_rows(figures: Figures) -> Iterator[Row]:
    for diagnosis, figure in figures.items():
        for name, unit, value in (
            ("offset", "mm3", figure.offset_mm3),
            ("gain", "", figure.gain),
            ("noise", "mm3", figure.noise_mm3),
            ("noise share", "", figure.noise_share),
        ):
            yield _row(diagnosis, "lesion_volume_error", name, unit, Estimate(estimate=value))


def _below_noise(changes: pd.DataFrame) -> Iterator[Row]:
    for diagnosis in DIAGNOSES:
        own = changes[(changes["diagnosis"] == diagnosis) & (changes["beyond_noise"] != "n/a")]
        count = Estimate(estimate=float((own["beyond_noise"] == "no").sum()), n=len(own))
        if own.empty:
            count = Estimate(note="no error figures of this diagnosis, or no change")
        yield _row(diagnosis, "changes_below_noise", "count", "participants", count)
        limits = own[SDC]
        middle = Estimate(estimate=float(limits.median()) if len(own) else math.nan, n=len(own))
        yield _row(diagnosis, SDC, "median", "mm3", middle)


def _groups(changes: pd.DataFrame) -> list[pd.DataFrame]:
    known = changes.dropna(subset=[RATE])
    return [known[known["diagnosis"] == name] for name in DIAGNOSES]


def _power_rows(changes: pd.DataFrame, settings: StudySettings) -> Iterator[Row]:
    first, second = (group[RATE].to_numpy(dtype=np.float64) for group in _groups(changes))
    n = first.size + second.size
    power, alpha = settings.measurement_error.power, 1 - settings.interval_level
    key = (BETWEEN, "smallest_detectable_difference_mm3_per_year", f"power {power:.0%}")
    fewest = min(first.size, second.size)
    if fewest < MINIMUM_PARTICIPANTS or n > RESAMPLED_UP_TO:
        note = f"not computed: {first.size} and {second.size} participants"
        yield _row(*key, "mm3/year", Estimate(n=n, note=note))
        return
    least = smallest_detectable(first, second, alpha=alpha, power=power)
    note = "" if math.isfinite(least) else "not even complete separation would be detected"
    found = least if math.isfinite(least) else math.nan
    yield _row(*key, "mm3/year", Estimate(estimate=found, n=n, note=note))
    difference = published_difference(settings)
    if difference is not None:
        needed = participants_needed(first, second, difference=difference, alpha=alpha, power=power)
        value = float(math.ceil(needed)) if math.isfinite(needed) else math.nan
        note = f"to see the published difference of {difference:g} mm3/year"
        key = (BETWEEN, "participants_needed", f"power {power:.0%}")
        yield _row(*key, "participants", Estimate(estimate=value, n=n, note=note))


def published_difference(settings: StudySettings) -> float | None:
    """Published annualised change of MS minus that of NMOSD, or None."""
    if settings.published is None:
        return None
    medians: dict[str, float | None] = {
        figure.diagnosis: figure.estimate
        for figure in settings.published.figures
        if figure.quantity == RATE and figure.statistic == "median"
    }
    first, second = (medians.get(name) for name in DIAGNOSES)
    return None if first is None or second is None else first - second


def _corrected(
    changes: pd.DataFrame, noise: pd.Series[float], figures: Figures, settings: StudySettings,
    label: str,
) -> Iterator[Row]:  # fmt: skip
    groups = _groups(changes)
    sizes = [len(group) for group in groups]
    if min(sizes) < MINIMUM_PARTICIPANTS or sum(sizes) > RESAMPLED_UP_TO:
        note = f"not corrected: {sizes[0]} and {sizes[1]} participants"
        yield _row(BETWEEN, RATE, label, "mm3/year", Estimate(n=sum(sizes), note=note))
        return
    gains = [figures[name].gain for name in DIAGNOSES]
    note = "gain 1 in both, or unknown: only noise is taken out" if gains == [1, 1] else ""
    measured = [group[RATE].to_numpy(dtype=np.float64) for group in groups]
    rates = _calibrated(groups, noise, gains)
    found = _by_method(rates, _loads(groups, figures), settings)
    for name, statistic in STATISTICS.items():
        between = name not in DIAGNOSES
        unit = "" if name == DELTA else "mm3/year"
        key = (BETWEEN, RATE, f"{name}, {label}") if between else (
            name, RATE, f"pseudomedian, {label}"
        )  # fmt: skip
        n = sum(sizes) if between else sizes[DIAGNOSES.index(name)]
        naive = float(statistic(measured[0][None], measured[1][None])[0])
        estimate = _with_interval(found[name], name, naive, settings)
        corrected = estimate.estimate
        if not found[name].resampled.size:
            estimate = estimate.noted(f"not resampled: {sizes[0]} and {sizes[1]} participants")
        yield _row(*key, unit, replace(estimate, n=n).noted(note))
        share = naive / corrected if corrected else math.nan
        attenuation = Estimate(estimate=share, n=n, note="uncorrected over corrected")
        heading = f"attenuation of {name}" if between else "attenuation"
        yield _row(key[0], RATE, heading, "", attenuation)
    yield _faked(rates, gains)


def _calibrated(groups: list[pd.DataFrame], noise: pd.Series[float], gains: list[float]) -> Rates:
    """Changes and their noise over the gain."""
    changes, spreads = [], []
    for group, gain in zip(groups, gains, strict=True):
        own = group["participant_id"].map(noise).fillna(0.0) / group["remission_years"]
        changes.append(group[RATE].to_numpy(dtype=np.float64) / gain)
        spreads.append(own.to_numpy(dtype=np.float64) / gain)
    return Rates(ms=changes[0], nmosd=changes[1], ms_noise=spreads[0], nmosd_noise=spreads[1])


def _loads(groups: list[pd.DataFrame], figures: Figures) -> tuple[Floats, Floats]:
    """Calibrated mean of each participant's first and last volume, mm3."""
    first, second = (
        (group[ENDS].mean(axis=1).to_numpy(dtype=np.float64) - figures[name].offset_mm3)
        / figures[name].gain
        for name, group in zip(DIAGNOSES, groups, strict=True)
    )
    return first, second


def _by_method(
    rates: Rates, loads: tuple[Floats, Floats], settings: StudySettings
) -> dict[str, Corrected]:
    """Every corrected estimate, resampled up to `PAIRS_UP_TO` pairs of participants."""
    chosen = settings.measurement_error
    few = max(rates.ms.size, rates.nmosd.size) ** 2 <= PAIRS_UP_TO
    draws = chosen.bootstrap_draws if few else 0
    if chosen.correction == "simex":
        return extrapolated(rates, order=chosen.simex_order, draws=draws, seed=settings.seed)
    return deconvolved(rates, loads, draws=draws, seed=settings.seed)


def _with_interval(
    corrected: Corrected, name: str, naive: float, settings: StudySettings
) -> Estimate:
    """A corrected estimate with its interval over participants, and what it cannot promise."""
    found, level = Estimate(estimate=corrected.estimate), settings.interval_level
    if name == DELTA and abs(found.estimate) > 1:
        found = found.noted("beyond 1: the noise is large against the differences")
    if not corrected.resampled.size:
        return found
    low, high = np.quantile(corrected.resampled, [(1 - level) / 2, (1 + level) / 2])
    if name == DELTA:
        low, high = np.clip([low, high], -1, 1)
    if abs(found.estimate - naive) < SMALL_CORRECTION * (high - low) / 2:
        found = found.noted(
            "the correction is small against chance: what is left of the segmenter's bias may be"
            " more than a third"
        )
    method = f"bootstrap percentile of {_METHOD[settings.measurement_error.correction]}"
    return found.with_interval(float(low), float(high), level=level, method=method)


def _faked(rates: Rates, gains: list[float]) -> Row:
    """The difference that unequal gains alone would show, if both diagnoses changed alike."""
    together = np.concatenate([rates.ms, rates.nmosd])
    typical = float(pseudomedians(together[None])[0])
    fake = Estimate(
        estimate=(gains[0] - gains[1]) * typical,
        n=together.size,
        note=f"gain {gains[0]:.3f} in MS and {gains[1]:.3f} in NMOSD, at the same true change of"
        f" {typical:.4g} mm3/year",
    )
    return _row(BETWEEN, RATE, "shift faked by unequal gain", "mm3/year", fake)
