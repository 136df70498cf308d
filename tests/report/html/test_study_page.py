import dataclasses
import math
import re

import numpy as np
import pandas as pd
import pytest
from tests.report.html.pages import Page
from tests.workflows.analysis_cohort import one

from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.longitudinal.repeatability import Repeatability, RepeatabilityFigure
from lesion_dynamics.longitudinal.side_by_side import published_figures
from lesion_dynamics.report.html.facts import VersionFacts
from lesion_dynamics.report.html.flow import flow_counts, flow_of
from lesion_dynamics.report.html.people import SEVERAL, people_of
from lesion_dynamics.report.html.rendering import TEMPLATES
from lesion_dynamics.report.html.results import page_name, read_results
from lesion_dynamics.report.html.specification_panel import specification_panel
from lesion_dynamics.report.html.study_page import study_page
from lesion_dynamics.report.html.study_panels import change_panels, sideways, trajectory_panels
from lesion_dynamics.settings.operating_point import OperatingPoint

VERSION = "segmenter/2"
PACE = "annualised_change_mm3_per_year"
HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'


def page(results, version=VERSION, facts=None, **links) -> Page:
    return Page(study_page(results, version, facts or VersionFacts(), **links))


def changed(results, name, **columns):
    """The results with columns of a table replaced."""
    table = results.tables[name].assign(**columns)
    return dataclasses.replace(results, tables={**results.tables, name: table})


def statistic(results, diagnosis, quantity, name, version=VERSION) -> pd.Series:
    table = results.tables["statistics"]
    return one(table[table["role"] != "sensitivity"], version, diagnosis, quantity, name)


def test_the_numbers_of_the_page_are_those_of_the_statistics(results):
    shown = page(results)
    for diagnosis in ("MS", "NMOSD"):
        row = statistic(results, diagnosis, PACE, "median")
        low, high = row["interval_low"], row["interval_high"]
        true = statistic(results, diagnosis, PACE, "median", "truth")["estimate"]
        published = {"MS": "193", "NMOSD": "25"}[diagnosis]
        cells = shown.row("annualised change, median (mm³/year)", after=diagnosis)
        assert cells == [
            f"{row['estimate']:.0f} [{low:.0f}, {high:.0f}]", f"{true:.0f}", published
        ]  # fmt: skip
        change = statistic(results, diagnosis, "remission_change_mm3", "pseudomedian")
        words = (
            f"{change['estimate']:.0f} mm³ (95% interval {change['interval_low']:.0f} to"
            f" {change['interval_high']:.0f})"
        )
        assert words in shown.text
    shift = statistic(results, "MS vs NMOSD", PACE, "shift")
    assert f"lies {shift['estimate']:.0f} mm³ a year (95% interval" in shown.text


def test_the_sections_stand_in_their_order_and_the_answer_is_first(results):
    ids = [a["id"] for tag, a in page(results).tags if tag == "section"]
    assert ids == [
        "answer", "participants", "study", "courses", "maps", "segmenter", "other-choices",
        "exclusions", "lineage", "cite",
    ]  # fmt: skip


def test_table_one_is_the_paper_table(results):
    shown = page(results)
    for row in results.table_one.to_numpy().tolist():
        assert shown.row(row[0].replace("mm3", "mm³")) == row[1:]


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


def test_results_of_an_older_analysis_still_give_a_page(results):
    tables = {**results.tables, "scans": pd.DataFrame(), "attacks": pd.DataFrame()}
    older = dataclasses.replace(results, tables=tables)
    shown = page(older)
    assert "keep neither scanners nor attacks" in shown.text
    assert len(shown.with_class("mark", "point")) == len(page(results).with_class("mark", "point"))
    assert not shown.with_class("attack")


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


def test_hostile_text_is_shown_as_text(results):
    who = results.tables["change_per_participant"]["participant_id"]
    evil = {name: f"{name}{HOSTILE}" for name in who.unique()}
    bad = results
    for name in ("change_per_participant", "intervals", "scans"):
        ids = bad.tables[name]["participant_id"].map(evil)
        bad = changed(bad, name, participant_id=ids)
    bad = changed(bad, "scans", scanner=bad.tables["scans"]["scanner"] + HOSTILE)
    bad = changed(bad, "statistics", note=HOSTILE)
    bad = changed(bad, "robustness", line=bad.tables["robustness"]["line"] + HOSTILE)
    provenance = {**bad.provenance, "git": {"commit": HOSTILE, "modified": True}}
    provenance["settings"] = {**provenance["settings"], "cohort": {"name": HOSTILE}}
    bad = dataclasses.replace(bad, provenance=provenance, table_one=bad.table_one + HOSTILE)
    facts = VersionFacts(outside=HOSTILE, weights_sha256=HOSTILE)
    shown = page(bad, facts=facts, maps_record=HOSTILE)
    assert shown.scripts == [(TEMPLATES / "report.js").read_text()]
    assert not [tag for tag, _ in shown.tags if tag == "img"]
    assert not [n for _, a in shown.tags for n in a if n.startswith("on")]
    assert shown.text.count("alert(1)") > 20
    assert any(a.get("data-participant", "").endswith(HOSTILE) for _, a in shown.tags)


def test_nothing_is_asked_from_outside(results):
    shown = page(results, scan_pages="../x/pages/index.html", comparison="comparison.html")
    outside = re.compile(r"^(https?:)?//")
    for tag, attributes in shown.tags:
        for name in ("src", "href", "action", "data", "srcset"):
            assert not outside.match(attributes.get(name, "")), (tag, attributes)
    policy = next(a for t, a in shown.tags if t == "meta" and "http-equiv" in a)
    assert policy["content"].startswith("default-src 'none'")
    links = [a["href"] for tag, a in shown.tags if tag == "a"]
    assert {"../x/pages/index.html", "comparison.html", "../trajectories.svg"} <= set(links)


def test_what_is_known_of_the_version_is_shown_and_what_is_not_is_said(results):
    plain = page(results)
    assert "Repeatability was not measured" in plain.text
    assert "manifest of this model version is not at hand" in plain.text
    assert "lesion-dynamics lesion-maps makes them" in plain.text
    repeated = Repeatability(
        format=1, model_version=VERSION, source="12 pairs of scans",
        figures=(RepeatabilityFigure(diagnosis="all", noise_mm3=12, noise_share=0.04, scans=24),),
    )  # fmt: skip
    manifest = {
        "validation": {
            "all": {"mean_dice": 0.614, "scan_count": 12},
            "by_diagnosis": {"MS": {"mean_dice": 0.7}, "NMOSD": {"mean_dice": None}},
        },
        "segmenter": {"sequences": ["FLAIR", "T1w"], "network": {"name": "unet"}},
        "training": {"git": {"commit": "abc123", "modified": True}},
    }
    point = OperatingPoint(probability_threshold=0.4, minimum_lesion_volume_mm3=9, connectivity=26)
    facts = VersionFacts(
        manifest=manifest, weights_sha256="f00d" * 16, operating_point=point,
        repeatability=repeated,
    )  # fmt: skip
    shown = page(results, facts=facts)
    assert shown.row("Dice, mean") == ["0.61", "0.70", "-"]
    assert shown.row("all") == ["12", "4.0%", "24"]
    assert "12 pairs of scans" in shown.text
    assert shown.row("probability threshold") == ["0.4"]
    assert shown.row("weights, SHA-256") == ["f00d" * 16]
    assert shown.row("training code") == ["commit abc123, with changes that are not committed"]
    assert "Repeatability was not measured" not in shown.text


def test_every_mark_has_words_for_those_who_do_not_see_it(results):
    shown = page(results)
    marks = shown.with_class("mark")
    assert len(marks) > 100
    assert all(mark["aria-label"] == mark["data-label"] != "" for mark in marks)
    charts = [a for tag, a in shown.tags if tag == "svg"]
    assert all(chart.get("aria-label") for chart in charts)
    boxes = shown.with_class("scroll")
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)


def test_sixty_one_participants_with_four_scans_stay_below_five_megabytes(results):
    tables = dict(results.tables)
    for name in ("change_per_participant", "intervals", "scans"):
        table = tables[name]
        copies = [
            table.assign(participant_id=table["participant_id"] + f"x{copy}") for copy in range(8)
        ]
        tables[name] = pd.concat(copies, ignore_index=True)
    large = dataclasses.replace(results, tables=tables)
    scans = large.of("scans", VERSION)
    assert scans["participant_id"].nunique() > 61
    assert len(scans) > 61 * 4
    assert len(study_page(large, VERSION, VersionFacts()).encode()) < 1_000_000


@pytest.mark.parametrize(
    ("version", "name"),
    [("lesion-segmenter/3", "lesion-segmenter-v3.html"), ("truth", "truth.html"),
     ("../x y/2", "..-x-y-v2.html"), ("a/b/1", "a-b-v1.html"),
     ("m/1+m/2", "m-v1+m-v2.html"), ("m/1+flips-longitudinal", "m-v1+flips-longitudinal.html")],
)  # fmt: skip
def test_page_names_stay_in_their_folder(version, name):
    assert page_name(version) == name


def test_an_analysis_that_is_told_so_makes_no_report(results):
    assert results.tables["scans"]["model_version"].nunique() == 3
    assert not (results.folder / "report").exists()


def test_results_that_cannot_be_read_are_refused(results, tmp_path):
    with pytest.raises(MeasurementsError, match="no such result"):
        read_results(tmp_path)
    for path in results.folder.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "provenance.json").write_text('{"settings": {"study": {}}}')
    with pytest.raises(MeasurementsError, match="cannot be read"):
        read_results(tmp_path)
