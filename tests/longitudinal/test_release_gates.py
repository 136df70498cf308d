"""The gates of a promotion: every figure by hand, every outcome."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from tests.conftest import composed

from lesion_dynamics.longitudinal.release_gates import (
    FAIL,
    NOT_MEASURABLE,
    PASS,
    Evidence,
    Gate,
    gates,
    not_the_same_scans,
    refused_gates,
)
from lesion_dynamics.longitudinal.repeatability import Repeatability
from lesion_dynamics.settings.promotion import GateSettings
from lesion_dynamics.settings.strict import validated


def settings(**changed: Any) -> GateSettings:
    return validated(GateSettings, {**composed("promote")["promotion"], **changed})


def scan(who: str, dice: float | None, f1: float | None, volume: float = 1000.0) -> dict[str, Any]:
    return {
        "participant_id": who, "session_id": "ses-01", "dice": dice, "lesion_f1": f1,
        "reference_volume_mm3": volume,
    }  # fmt: skip


def evidence(
    label: str,
    each: list[dict[str, Any]],
    *,
    bias: tuple[float, float] = (-100.0, 20.0),
    noise: tuple[float, float] | None = None,
    smallest: float = 14.0,
    detectable: dict[str, float] | None = None,
) -> Evidence:
    volumes = {"MS": 2000.0, "NMOSD": 400.0}
    record = None
    if noise is not None:
        figure = {"diagnosis": "all", "noise_mm3": noise[0], "noise_share": noise[1], "scans": 9}
        record = Repeatability.model_validate(
            {"format": 1, "model_version": label, "source": "pairs", "figures": [figure]}
        )
    by_diagnosis = {
        name: {"mean_volume_difference_mm3": own, "mean_reference_volume_mm3": volumes[name]}
        for name, own in zip(volumes, bias, strict=True)
    }
    validation = {"each": each, "by_diagnosis": by_diagnosis}
    return Evidence(label, validation, smallest, record, detectable or {})


EACH = [scan("sub-1", 0.6, 0.4), scan("sub-2", 0.8, 0.6)]
CHAMPION = evidence("m/1", EACH)


def of(name: str, table: list[Gate], diagnosis: str = "all") -> Gate:
    return next(g for g in table if (g.name, g.diagnosis) == (name, diagnosis))


@pytest.mark.parametrize(
    ("loss", "outcome"), [(0.0, PASS), (0.02, PASS), (0.0201, FAIL), (-0.3, PASS)]
)
def test_dice_and_f1_may_fall_by_the_margin(loss: float, outcome: str) -> None:
    each = [scan("sub-1", 0.6 - 2 * loss, 0.4), scan("sub-2", 0.8, 0.6 - 2 * loss)]
    table = gates(evidence("m/2", each), CHAMPION, None, settings())
    for name, before in (("dice", 0.7), ("lesion_f1", 0.5)):
        gate = of(name, table)
        assert (gate.champion, gate.candidate) == pytest.approx((before, before - loss))
        assert gate.limit == pytest.approx(before - 0.02)
        assert gate.outcome == outcome
    generous = settings(dice_margin=0.5, lesion_f1_margin=0.5)
    table = gates(evidence("m/2", each), CHAMPION, None, generous)
    assert of("dice", table).outcome == of("lesion_f1", table).outcome == PASS


def test_an_empty_answer_to_a_lesion_free_scan_counts_as_right() -> None:
    quiet = [scan("sub-1", 0.6, 0.4), scan("sub-2", None, None, 0.0)]
    noisy = [scan("sub-1", 0.6, 0.4), scan("sub-2", 0.0, 0.0, 0.0)]
    table = gates(evidence("m/2", noisy), evidence("m/1", quiet), None, settings())
    assert of("dice", table).champion == pytest.approx(0.8)
    assert of("dice", table).outcome == FAIL
    table = gates(evidence("m/2", quiet), evidence("m/1", noisy), None, settings())
    assert of("dice", table).outcome == PASS


@pytest.mark.parametrize(
    ("bias", "ms", "nmosd"),
    [
        ((200.0, 40.0), PASS, PASS),  # limits: 100 + 0.05 x 2000 and 20 + 0.05 x 400
        ((-200.1, -40.0), FAIL, PASS),
        ((0.0, -40.1), PASS, FAIL),
    ],
)
def test_volume_bias_is_judged_in_each_diagnosis(
    bias: tuple[float, float], ms: str, nmosd: str
) -> None:
    table = gates(evidence("m/2", EACH, bias=bias), CHAMPION, None, settings())
    assert of("volume_bias", table, "MS").limit == pytest.approx(200)
    assert of("volume_bias", table, "MS").outcome == ms
    assert of("volume_bias", table, "NMOSD").limit == pytest.approx(40)
    assert of("volume_bias", table, "NMOSD").outcome == nmosd


def test_the_smallest_detectable_change_by_repeatability_or_else_by_the_study() -> None:
    before, after = (evidence(f"m/{n}", EACH, noise=(s, 0.0)) for n, s in ((1, 10.0), (2, 11.0)))
    gate = of("detectable_change", gates(after, before, None, settings()), "MS")
    assert gate.champion == pytest.approx(1.959964 * math.sqrt(2) * 10)
    assert gate.outcome == PASS  # 10% larger is the margin
    strict = settings(detectable_change_margin=0.09)
    assert of("detectable_change", gates(after, before, None, strict), "MS").outcome == FAIL
    # A share of the volume counts at the champion's mean reference volume.
    shared = evidence("m/2", EACH, noise=(0.0, 0.05))
    gate = of("detectable_change", gates(shared, before, None, settings()), "NMOSD")
    assert gate.candidate == pytest.approx(1.959964 * math.sqrt(2) * 20)
    # Without both records: what the study says of both, or nothing.
    one, other = (evidence(f"m/{n}", EACH, detectable={"MS": v}) for n, v in ((1, 50.0), (2, 60.0)))
    table = gates(other, one, None, settings())
    assert of("detectable_change", table, "MS").outcome == FAIL
    assert of("detectable_change", table, "NMOSD").outcome == NOT_MEASURABLE


def verdicts(*words: str, reference: str = "m/1", version: str = "m/2") -> pd.DataFrame:
    rows = [(reference, version, "MS", "remission_change_mm3", "pseudomedian", w) for w in words]
    columns = ["reference", "model_version", "diagnosis", "quantity", "statistic", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def test_the_study_has_to_compare_the_two_versions() -> None:
    candidate = evidence("m/2", EACH)
    for table in (None, verdicts("kept", version="m/3")):
        gate = of("study_verdict", gates(candidate, CHAMPION, table, settings()))
        assert gate.outcome == NOT_MEASURABLE
    lost = verdicts("kept", "lost")
    gate = of("study_verdict", gates(candidate, CHAMPION, lost, settings()))
    assert (gate.outcome, gate.note[:37]) == (PASS, "2 conclusions, 1 lost or reversed, th")
    kept = settings(study_verdict="kept")
    assert of("study_verdict", gates(candidate, CHAMPION, lost, kept)).outcome == FAIL
    # In a table that takes the candidate as the reference, what it gained there it lost here.
    turned = verdicts("lost", "kept", reference="m/2", version="m/1")
    assert of("study_verdict", gates(candidate, CHAMPION, turned, kept)).outcome == PASS
    turned = verdicts("gained", reference="m/2", version="m/1")
    assert of("study_verdict", gates(candidate, CHAMPION, turned, kept)).outcome == FAIL


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (evidence("m/2", EACH[:1]), "other scans (1 and 2, 1 in common)"),
        (evidence("m/2", []), "m/2 has no record"),
        (evidence("m/2", EACH, smallest=3.0), "lesions of different sizes"),
        (evidence("m/2", [EACH[0], scan("sub-2", 0.8, 0.6, 999.0)]), "mask of sub-2 ses-01"),
    ],
)
def test_figures_of_other_scans_are_never_compared(candidate: Evidence, said: str) -> None:
    assert said in str(not_the_same_scans(candidate, CHAMPION))
    table = gates(candidate, CHAMPION, verdicts("kept"), settings())
    for name in ("dice", "lesion_f1"):
        assert of(name, table).outcome == NOT_MEASURABLE
        assert math.isnan(of(name, table).candidate)
    refused = refused_gates(table, settings())
    assert {g.name for g in refused} == {"dice", "lesion_f1", "volume_bias"}
    assert refused_gates(table, settings(required=["study_verdict"])) == []
