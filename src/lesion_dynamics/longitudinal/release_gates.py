"""Whether a candidate may follow a champion: gates over figures of the same validation scans."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.repeatability import Repeatability, with_repeatability
from lesion_dynamics.longitudinal.verdicts import GAINED, LOST, REVERSED
from lesion_dynamics.longitudinal.volume_error import Z_95
from lesion_dynamics.settings.promotion import GateName, GateSettings

PASS, FAIL, NOT_MEASURABLE = "pass", "fail", "not measurable"
FIRST: Final = "first champion"
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Gate:
    """One row of the gate table.

    diagnosis : or "all". candidate, champion : the figure of each; NaN where there is none.
    limit : the worst figure of the candidate that passes.
    """

    name: GateName
    diagnosis: str
    candidate: float
    champion: float
    limit: float
    outcome: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one version.

    validation : of its manifest. sieve_mm3 : lesions below it were left out of that record.
    repeatability : its record, or None. detectable_change_mm3 : median over the study's
    participants, by diagnosis, where the study knows it.
    """

    label: str
    validation: Mapping[str, Any]
    sieve_mm3: float
    repeatability: Repeatability | None
    detectable_change_mm3: Mapping[str, float]


def not_the_same_scans(candidate: Evidence, champion: Evidence) -> str | None:
    """Why the two records cannot be compared scan by scan; None where they can."""
    sides = [_by_scan(one) for one in (candidate, champion)]
    for one, own in zip((candidate, champion), sides, strict=True):
        if not own:
            return f"{one.label} has no record of its validation scans"
    if sides[0].keys() != sides[1].keys():
        shared = len(sides[0].keys() & sides[1].keys())
        return (
            f"they were validated on other scans ({len(sides[0])} and {len(sides[1])}, {shared} in"
            " common)"
        )
    if candidate.sieve_mm3 != champion.sieve_mm3:
        return (
            f"their records leave out lesions of different sizes (below {candidate.sieve_mm3:g} and"
            f" {champion.sieve_mm3:g} mm3)"
        )
    for key, scan in sides[0].items():
        volume = float(scan["reference_volume_mm3"])
        gap = volume - float(sides[1][key]["reference_volume_mm3"])
        if abs(gap) > _ROUNDING * max(1.0, volume):
            return f"the reference mask of {' '.join(key)} is not the same"
    return None


def gates(
    candidate: Evidence, champion: Evidence, verdicts: pd.DataFrame | None, settings: GateSettings
) -> list[Gate]:
    """The gate table of a candidate against a champion.

    verdicts : `longitudinal.verdicts.VERDICT_COLUMNS` of the study, or None.
    """
    differ = not_the_same_scans(candidate, champion)
    found: list[Gate] = []
    margins: tuple[tuple[GateName, float], ...] = (
        ("lesion_f1", settings.lesion_f1_margin),
        ("dice", settings.dice_margin),
    )
    for name, margin in margins:
        found.append(_mean_gate(name, candidate, champion, margin, differ))
    found += [_bias_gate(name, candidate, champion, settings, differ) for name in DIAGNOSES]
    found += [_detectable_gate(name, candidate, champion, settings) for name in DIAGNOSES]
    return [*found, _verdict_gate(candidate, champion, verdicts, settings)]


def refused_gates(table: Sequence[Gate], settings: GateSettings) -> list[Gate]:
    """Those that forbid the promotion: failed, or required and not measurable."""
    return [
        gate
        for gate in table
        if gate.outcome == FAIL
        or (gate.outcome == NOT_MEASURABLE and gate.name in settings.required)
    ]


def _by_scan(version: Evidence) -> dict[tuple[str, str], Mapping[str, Any]]:
    each = version.validation.get("each") or ()
    return {(one["participant_id"], one["session_id"]): one for one in each}


def _mean_gate(
    name: GateName, candidate: Evidence, champion: Evidence, margin: float, differ: str | None
) -> Gate:
    if differ is not None:
        return _unknown(name, "all", differ)
    means = []
    for version in (candidate, champion):
        # Undefined: both masks are empty, the right answer for a scan without lesions.
        values = [1.0 if one[name] is None else one[name] for one in _by_scan(version).values()]
        means.append(math.fsum(values) / len(values))
    limit = means[1] - margin
    outcome = PASS if means[0] >= limit - _ROUNDING else FAIL
    return Gate(name, "all", means[0], means[1], limit, outcome, "mean over scans")


def _bias_gate(
    diagnosis: str,
    candidate: Evidence,
    champion: Evidence,
    settings: GateSettings,
    differ: str | None,
) -> Gate:
    if differ is not None:
        return _unknown("volume_bias", diagnosis, differ)
    sides = [v.validation.get("by_diagnosis", {}).get(diagnosis) for v in (candidate, champion)]
    needed = {"mean_volume_difference_mm3", "mean_reference_volume_mm3"}
    if not all(side and needed <= side.keys() for side in sides):
        return _unknown("volume_bias", diagnosis, "no validation scan of this diagnosis")
    bias, before = (float(side["mean_volume_difference_mm3"]) for side in sides)
    reference = float(sides[1]["mean_reference_volume_mm3"])
    limit = abs(before) + settings.volume_bias_margin * reference
    outcome = PASS if abs(bias) <= limit + _ROUNDING else FAIL
    note = "mean difference, mm3; either way"
    return Gate("volume_bias", diagnosis, bias, before, limit, outcome, note)


def _detectable_gate(
    diagnosis: str, candidate: Evidence, champion: Evidence, settings: GateSettings
) -> Gate:
    name: GateName = "detectable_change"
    volume = _reference_volume(champion, diagnosis)
    measured = [_from_repeatability(v, diagnosis, volume) for v in (candidate, champion)]
    note = "by repeatability, at the mean reference volume, mm3"
    if any(value is None for value in measured):
        measured = [v.detectable_change_mm3.get(diagnosis) for v in (candidate, champion)]
        note = "median over the study's participants, mm3"
    own, before = measured
    if own is None or before is None:
        return _unknown(name, diagnosis, "no repeatability of both, and no study against a truth")
    limit = before * (1 + settings.detectable_change_margin)
    outcome = PASS if own <= limit + _ROUNDING else FAIL
    return Gate(name, diagnosis, own, before, limit, outcome, note)


def _reference_volume(version: Evidence, diagnosis: str) -> float | None:
    found = version.validation.get("by_diagnosis", {}).get(diagnosis, {})
    value = found.get("mean_reference_volume_mm3")
    return None if value is None else float(value)


def _from_repeatability(
    version: Evidence, diagnosis: str, volume_mm3: float | None
) -> float | None:
    """1.96 x sqrt(2) x noise of one scan: Bland and Altman, BMJ 1996;313:744."""
    figures = with_repeatability({}, version.repeatability)
    if volume_mm3 is None or diagnosis not in figures:
        return None
    figure = figures[diagnosis]
    noise = math.hypot(figure.noise_mm3, figure.noise_share * volume_mm3)
    return Z_95 * math.sqrt(2) * noise


def _verdict_gate(
    candidate: Evidence, champion: Evidence, verdicts: pd.DataFrame | None, settings: GateSettings
) -> Gate:
    name: GateName = "study_verdict"
    if verdicts is None or verdicts.empty:
        return _unknown(name, "all", "the study compares no versions")
    pair = (verdicts["reference"] == champion.label) & (
        verdicts["model_version"] == candidate.label
    )
    turned = (verdicts["reference"] == candidate.label) & (
        verdicts["model_version"] == champion.label
    )
    own, bad = verdicts[pair], {LOST, REVERSED}
    if own.empty:
        own, bad = verdicts[turned], {GAINED, REVERSED}  # seen from the candidate
    if own.empty:
        return _unknown(name, "all", "the study does not compare these two versions")
    moved = own[own["verdict"].isin(bad)]
    note = f"{len(own)} conclusions, {len(moved)} lost or reversed"
    if len(moved):
        first = moved.iloc[0]
        note += f", the first: {first['diagnosis']} {first['quantity']} ({first['statistic']})"
    failed = settings.study_verdict == "kept" and len(moved) > 0
    nan = math.nan
    return Gate(name, "all", nan, nan, nan, FAIL if failed else PASS, note)


def _unknown(name: GateName, diagnosis: str, note: str) -> Gate:
    return Gate(name, diagnosis, math.nan, math.nan, math.nan, NOT_MEASURABLE, note)
