import dataclasses
import re

import pandas as pd
import pytest
from tests.report.html.pages import Page
from tests.workflows.analysis_cohort import one

from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.longitudinal.repeatability import Repeatability, RepeatabilityFigure
from lesion_dynamics.report.html.facts import VersionFacts
from lesion_dynamics.report.html.lineage import lineage_cells
from lesion_dynamics.report.html.rendering import TEMPLATES
from lesion_dynamics.report.html.results import page_name, read_results
from lesion_dynamics.report.html.study_page import study_page
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


def test_the_lineage_tells_what_weights_came_from_and_nobody_s_id(results):
    first = {"label": "seg/1", "training_participants": ["sub-a01"], "initial_model_version": None}
    second = {**first, "label": "seg/2", "initial_model_version": first}
    training = {"initial_model_version": second, "participants": {"training": ["sub-b02"]}}
    cells = lineage_cells(results, "seg/3", VersionFacts(manifest={"training": training}))
    told = {row[0]: " ".join(row[1]) for row in cells.rows}
    assert told["started from"] == "seg/2, from seg/1"
    assert told["participants of the training"] == "1 training"
    assert not any(who in text for who in ("sub-a01", "sub-b02") for text in told.values())


def test_table_one_is_the_paper_table(results):
    shown = page(results)
    for row in results.table_one.to_numpy().tolist():
        assert shown.row(row[0].replace("mm3", "mm³")) == row[1:]


def test_results_of_an_older_analysis_still_give_a_page(results):
    tables = {**results.tables, "scans": pd.DataFrame(), "attacks": pd.DataFrame()}
    older = dataclasses.replace(results, tables=tables)
    shown = page(older)
    assert "keep neither scanners nor attacks" in shown.text
    assert len(shown.with_class("mark", "point")) == len(page(results).with_class("mark", "point"))
    assert not shown.with_class("attack")


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
