"""The charts of the study page: points, trajectories, flow and specification curve."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.side_by_side import published_figures
from lesion_dynamics.report.html.flow import flow_counts, flow_of
from lesion_dynamics.report.html.people import SEVERAL, people_of
from lesion_dynamics.report.html.specification_panel import specification_panel
from lesion_dynamics.report.html.study_panels import change_panels, sideways, trajectory_panels

VERSION = "segmenter/2"
PACE = "annualised_change_mm3_per_year"


def test_every_participant_is_one_point_at_the_height_of_the_change(results):
    people, changes = people_of(results, VERSION), results.of("change_per_participant", VERSION)
    panels = change_panels(
        people,
        changes,
        results.of("statistics", VERSION),
        published_figures(results.publication),
        results.of("statistics", "truth"),
    )
    values = changes.set_index("participant_id")[PACE]
    low, high = min(-100, values.min()) * 1.3, max(100, values.max()) * 1.3
    seen = []
    for panel in panels:
        assert len(panel.y_ticks) > 3
        for at, text in panel.y_ticks:
            value = float(text.replace("−", "-").replace(",", ""))
            bent = [math.asinh(v / 100) for v in (low, value, high)]
            share = (bent[1] - bent[0]) / (bent[2] - bent[0])
            assert at == pytest.approx(panel.plot_bottom + share * (panel.top - panel.plot_bottom))
        for mark in panel.marks:
            if mark.who is None:
                continue
            seen.append(mark.who.participant)
            bent = [math.asinh(v / 100) for v in (low, values[mark.who.participant], high)]
            share = (bent[1] - bent[0]) / (bent[2] - bent[0])
            down = panel.plot_bottom + share * (panel.top - panel.plot_bottom)
            assert mark.y == pytest.approx(down)
            assert panel.left <= mark.x <= panel.plot_right
    assert sorted(seen) == sorted(values.dropna().index)
    labels = [line.label for line in panels[0].lines if line.label]
    assert labels == ["Published: 193 mm³ a year", "True: 216 mm³ a year"]


def test_no_point_hides_another():
    rng = np.random.default_rng(3)
    heights = [200.0] * 12 + list(rng.normal(150, 8, 30))
    places = np.column_stack([sideways(heights, room=1000), heights])
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert gaps[~np.eye(len(heights), dtype=bool)].min() >= 9.5 - 1e-9
    assert np.abs(places[:, 0]).min() == 0
    narrow = sideways(heights, room=20)
    assert max(map(abs, narrow)) == pytest.approx(20)
    assert sideways([], room=5) == []
    assert sideways([3.0], room=5) == [0]


def test_trajectories_show_every_scan_the_attack_and_the_median(results):
    people, changes = people_of(results, VERSION), results.of("change_per_participant", VERSION)
    panels = trajectory_panels(people, results.of("intervals", VERSION), changes)
    ms = panels[0]
    assert sum(mark.css == "point MS" for mark in ms.marks) == 9 * 3
    assert len([line for line in ms.lines if line.css == "course MS"]) == 17
    assert len([line for line in ms.lines if line.css == "course other"]) == 1
    zero, thousand = (at for at, text in ms.y_ticks if text in ("0", "1,000"))
    assert zero == pytest.approx(ms.plot_bottom)
    assert ms.top < thousand < zero
    attack = next(mark for mark in ms.marks if mark.css == "attack")
    assert attack.label == "sub-ms0: attack after 1.4 years"
    dashed = next(line for line in ms.lines if line.css == "course other")
    assert dashed.places[0][0] < attack.x < dashed.places[1][0]
    medians = [mark.label for mark in ms.marks if mark.css == "median"]
    middle = changes.loc[changes["diagnosis"] == "MS", "first_lesion_volume_mm3"].median()
    assert f"{middle:,.0f} mm³" in medians[0]


def test_scanners_come_from_the_sessions(results):
    people = people_of(results, VERSION)
    assert people.scanners == ["scanner1", SEVERAL]
    several = {name for name, one in people.who.items() if one.scanner == SEVERAL}
    assert several == {"sub-ms3", "sub-nmosd3"}


def test_the_flow_adds_up_also_with_scans_left_out(results):
    left = pd.DataFrame(
        {"participant_id": ["sub-x", "sub-y", "sub-z"], "session_id": "ses-01",
         "reason": ["unreadable", "unreadable", "undated"]}
    )  # fmt: skip
    with_exclusions = dataclasses.replace(
        results, tables={**results.tables, "scans_left_out": left}
    )
    counts = flow_counts(with_exclusions, VERSION)
    assert counts.scans_left_out == {"unreadable": 2, "undated": 1}
    assert counts.scans == 17 * 3 + 3
    assert counts.scans_analysed == 17 * 3
    assert counts.intervals == 34
    assert counts.in_remission + sum(counts.intervals_left_out.values()) == 34
    assert counts.in_remission == 33
    people = sum(counts.with_change.values()) + sum(counts.without_change.values())
    assert people == sum(counts.participants.values()) == 17
    texts = [text for box in flow_of(counts).boxes for text in box.lines]
    assert "3 scans left out" in texts
    assert "1 interval left out" in texts


def test_boxes_of_the_flow_do_not_overlap(results):
    flow = flow_of(flow_counts(results, VERSION))
    for first in flow.boxes:
        for other in flow.boxes:
            if first is other:
                continue
            apart_x = first.x + first.width <= other.x or other.x + other.width <= first.x
            apart_y = first.y + first.height <= other.y or other.y + other.height <= first.y
            assert apart_x or apart_y
    assert max(box.y + box.height for box in flow.boxes) <= flow.height


def test_the_specification_curve_has_every_estimate_at_its_place(results):
    rows = results.of("robustness", VERSION)
    panel = specification_panel(rows)
    known = rows[rows["estimate"].notna()]
    marks = [mark for mark in panel.marks if mark.css.startswith("estimate")]
    assert len(marks) == len(known)
    for diagnosis, css in (("MS", "MS"), ("NMOSD", "NMOSD"), ("MS vs NMOSD", "between")):
        own = known[known["diagnosis"] == diagnosis]
        mine = [mark for mark in marks if f" {css} " in mark.css]
        x = np.array([mark.x for mark in mine])
        estimates = own["estimate"].to_numpy(dtype=float)
        # Pixels are a line of the estimates, and filled is what the test shows.
        assert np.corrcoef(x, estimates)[0, 1] > 0.999999 if np.ptp(estimates) > 1e-9 else True
        filled = [mark.css.endswith("filled") for mark in mine]
        assert filled == (own["p_value"].to_numpy(dtype=float) < 0.05).tolist()
    texts = [word.text for word in panel.words]
    for choice, line in dict.fromkeys(zip(rows["choice"], rows["line"], strict=True)):
        assert any(text.startswith(f"{choice}: {line}"[:40]) for text in texts)
