import dataclasses

import pandas as pd
import pytest
from tests.report.html.pages import Page

from lesion_dynamics.longitudinal.side_by_side import published_figures
from lesion_dynamics.report.html.comparison_page import comparison_page, newest_answer
from lesion_dynamics.report.html.people import people_of
from lesion_dynamics.report.html.release_panels import ESTIMATES, agreement_panels, release_panel

FIRST = "first_lesion_volume_mm3"
HOSTILE = "</script><script>alert(1)</script>"


def with_verdicts(results, **words):
    """The results with other verdicts from segmenter/1 to segmenter/2, by diagnosis."""
    table = results.tables["verdicts"].copy()
    for diagnosis, word in words.items():
        table.loc[table["diagnosis"] == diagnosis.replace("_", " "), "verdict"] = word
    return dataclasses.replace(results, tables={**results.tables, "verdicts": table})


def test_estimates_stand_in_the_order_of_release_with_their_intervals(results):
    statistics = results.tables["statistics"]
    published = published_figures(results.publication)
    for estimate in ESTIMATES:
        panel = release_panel(statistics, published, results.versions, estimate)
        assert [text for _, text in panel.x_ticks] == ["segmenter/1", "segmenter/2"]
        marks = [mark for mark in panel.marks if mark.css.startswith("estimate")]
        assert [mark.label.split(":")[0] for mark in marks] == results.versions
        assert marks[0].x < marks[1].x
        own = statistics[
            (statistics["diagnosis"] == estimate[0])
            & (statistics["quantity"] == estimate[1])
            & (statistics["statistic"] == estimate[2])
            & (statistics["role"] != "sensitivity")
        ].set_index("model_version")
        zero = next(line for line in panel.lines if line.css == "zero").places[0][1]
        for name, mark in zip(results.versions, marks, strict=True):
            # Heights above zero go as the estimates do, gain 0.8 and 0.9 of the truth.
            true = next(line for line in panel.lines if line.css == "true").places[0][1]
            share = own.loc[name, "estimate"] / own.loc["truth", "estimate"]
            assert (zero - mark.y) / (zero - true) == pytest.approx(share, abs=1e-6)


def test_the_published_line_stands_where_there_is_a_published_figure(results):
    published = published_figures(results.publication)
    lines = {
        estimate[:3]: [
            line.label
            for line in release_panel(
                results.tables["statistics"], published, results.versions, estimate
            ).lines
            if line.css == "published"
        ]
        for estimate in ESTIMATES
    }
    assert lines["MS", FIRST, "median"] == ["Published: 3,493 mm³"]
    assert lines["MS", "remission_change_mm3", "pseudomedian"] == []


def test_bland_altman_points_are_differences_over_means(results):
    changes = results.tables["change_per_participant"]
    pair = ("segmenter/1", "segmenter/2")
    who = people_of(results, pair[1]).who
    panels = agreement_panels(changes, results.tables["version_agreement"], pair, who, key="p")
    assert len(panels) == 6
    panel = next(p for p in panels if p.diagnosis == "MS" and FIRST in p.key)
    first = changes.set_index(["model_version", "participant_id"])[FIRST]
    for mark in panel.marks:
        before, now = (first[name, mark.who.participant] for name in pair)
        said = f"difference {now - before:,.0f}, mean {(now + before) / 2:,.0f} mm³"
        assert mark.label == f"{mark.who.participant}: {said}"
    assert len(panel.marks) == 9
    agreement = results.tables["version_agreement"]
    row = agreement[
        (agreement["reference"] == pair[0])
        & (agreement["model_version"] == pair[1])
        & (agreement["diagnosis"] == "MS")
        & (agreement["quantity"] == FIRST)
    ].iloc[0]
    labels = [line.label for line in panel.lines if line.label]
    assert labels[0] == f"Bias {row['bias']:,.0f} mm³"
    limits = [f"{row[name]:,.0f}".replace("-", "−") for name in ("limit_low", "limit_high")]
    assert labels[1:] == [f"95% limit {limit} mm³" for limit in limits]


def test_the_newest_verdicts_come_first(results):
    assert newest_answer(results).startswith(
        "All three conclusions are kept from segmenter/1 to segmenter/2: the change in remission"
        " in MS is kept (both shown, p 0.004 and 0.004)"
    )
    other = newest_answer(with_verdicts(results, NMOSD="lost", MS_vs_NMOSD="cannot be judged"))
    assert other.startswith("Not every conclusion is kept from segmenter/1 to segmenter/2")
    assert "the change in remission in NMOSD is lost" in other
    assert "difference in annualised change between MS and NMOSD cannot be judged (" in other


def test_one_version_alone_has_nothing_to_be_compared_with(results):
    tables = {
        name: table[table["model_version"] == "segmenter/1"] if "model_version" in table else table
        for name, table in results.tables.items()
    }
    for name in ("verdicts", "version_agreement", "class_changes", "version_differences"):
        tables[name] = pd.DataFrame()
    alone = dataclasses.replace(results, tables=tables)
    assert newest_answer(alone).startswith("There is one model version, segmenter/1;")
    shown = Page(comparison_page(alone, scan_pages={}))
    assert "nothing to compare yet" in shown.text


def test_the_page_has_every_pair_the_changed_and_a_link_to_each_report(results):
    changed = pd.DataFrame(
        {
            "reference": ["segmenter/1"], "model_version": ["segmenter/2"],
            "participant_id": ["sub-ms4"], "diagnosis": ["MS"], "reference_class": ["stable"],
            "class": ["growing"], "reference_change_mm3": [310.2], "change_mm3": [402.0],
        }
    )  # fmt: skip
    tables = {**results.tables, "class_changes": changed}
    own = dataclasses.replace(results, tables=tables)
    links = {"segmenter/2": "../pages/index.html", "segmenter/1": None}
    shown = Page(comparison_page(own, scan_pages=links))
    pairs = [a for tag, a in shown.tags if tag == "details" and a.get("class") == "pair"]
    # The newest pair is open; both versions against the truth follow.
    assert ["open" in pair for pair in pairs] == [True, False, False]
    assert shown.row("sub-ms4", after="participant")[:6] == [
        "MS", "segmenter/1 → segmenter/2", "stable", "growing", "310", "402",
    ]  # fmt: skip
    hrefs = [a["href"] for tag, a in shown.tags if tag == "a"]
    assert {"segmenter-v1.html", "segmenter-v2.html", "../pages/index.html"} <= set(hrefs)
    question = shown.row("MS vs NMOSD: annualised change")
    assert question[0] == "kept"
    assert "mm³ a year" in question[1]


def test_hostile_text_is_shown_as_text(results):
    changes = results.tables["change_per_participant"]
    ids = changes["participant_id"] + HOSTILE
    verdicts = results.tables["verdicts"].assign(reason=HOSTILE)
    tables = {
        **results.tables,
        "change_per_participant": changes.assign(participant_id=ids),
        "verdicts": verdicts,
    }
    shown = Page(comparison_page(dataclasses.replace(results, tables=tables), scan_pages={}))
    assert len(shown.scripts) == 1
    assert "alert" not in shown.scripts[0]
    assert shown.text.count("alert(1)") > 3
