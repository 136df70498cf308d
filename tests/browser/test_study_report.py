"""The study report and the release comparison in a real browser, opened from disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from tests.browser.looking import keep_screenshot, overflow_px
from tests.report.html.pages import analysed

from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.study_report import ReportSettings
from lesion_dynamics.workflows.study_report.pages import run

pytestmark = pytest.mark.browser

N_MS, N_NMOSD, SEVERAL = 9, 8, 2
HOSTILE = '</script><script>document.title="taken"</script><img src=x onerror="document.title=1">'
PAGES = ("segmenter-v2.html", "comparison.html")
SHOWN_POINTS = (
    "#change-MS .mark.point:not([data-hidden]), #change-NMOSD .mark.point:not([data-hidden])"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Pages of the small study."""
    folder = tmp_path_factory.mktemp("browser")
    analysed(folder, report=True)
    return folder / "results" / "report"


def opened(page_at, path: Path, width: int = 1280, scheme: str = "light"):
    page = page_at(width, scheme)
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 2560])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_overflows_and_everything_is_drawn(report, page_at, name, width, scheme):
    page = opened(page_at, report / name, width, scheme)
    for details in page.locator("details").all():
        details.evaluate("one => one.open = true")
    assert overflow_px(page) == 0
    # Whatever is wider than the window scrolls in a box of its own.
    loose = page.evaluate(
        """() => [...document.querySelectorAll("main *")].filter((one) =>
             !one.closest(".scroll") && !one.closest("svg") && one.getClientRects().length &&
             one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML)"""
    )
    assert loose == []
    empty = page.evaluate(
        """() => [...document.querySelectorAll("figure.chart svg")].filter((one) =>
             !one.querySelector(".mark, .words")).length"""
    )
    assert empty == 0
    keep_screenshot(page, f"{name.removesuffix('.html')}-{width}-{scheme}", full=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_text_and_marks_stand_out_from_their_ground(report, page_at, name, scheme):
    page = opened(page_at, report / name, 1280, scheme)
    ratios = page.evaluate(_CONTRAST)
    assert len(ratios["text"]) > 100
    assert min(ratios["text"].values()) >= 4.5, min(ratios["text"].items(), key=lambda i: i[1])
    assert min(ratios["marks"].values()) >= 3, min(ratios["marks"].items(), key=lambda i: i[1])


def test_the_filters_hide_participants_and_say_how_many_are_left(report, page_at):
    page = opened(page_at, report / "segmenter-v2.html")
    points, said = page.locator(SHOWN_POINTS), page.locator("form.filters output")
    assert points.count() == N_MS + N_NMOSD
    page.get_by_label("NMOSD", exact=True).uncheck()
    assert points.count() == N_MS
    assert said.inner_text() == f"{N_MS} of {N_MS + N_NMOSD} participants shown"
    assert page.locator("#change-NMOSD").is_hidden()
    page.get_by_label("NMOSD", exact=True).check()
    page.get_by_label("scanner1", exact=True).uncheck()
    assert points.count() == SEVERAL
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function(f"document.querySelectorAll('{SHOWN_POINTS}').length == 17")
    page.get_by_label("Participant", exact=True).fill("sub-ms3")
    assert points.count() == 1
    page.get_by_text("Every participant as a table").click()
    rows = page.locator("tr[data-row]:not([data-hidden])")
    assert rows.count() == 1
    # The median of all stays what it was.
    assert page.locator("#change-MS .mark.median").is_visible()


def test_hovering_names_the_participant_in_every_chart(report, page_at):
    page = opened(page_at, report / "segmenter-v2.html")
    tip = page.locator("#tip")
    assert tip.is_hidden()
    page.locator('#change-MS .mark.point[data-participant="sub-ms4"]').hover()
    assert tip.inner_text().startswith("sub-ms4: ")
    assert "mm³ a year" in tip.inner_text()
    lit = page.locator('#trajectories-MS .mark.lit[data-participant="sub-ms4"]')
    assert lit.count() == 3
    page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_the_keyboard_reaches_every_mark(report, page_at):
    page = opened(page_at, report / "segmenter-v2.html")
    chart = page.locator("#change-MS svg")
    assert chart.locator('.mark[tabindex="0"]').count() == 1
    chart.locator('.mark[tabindex="0"]').focus()
    seen = []
    for _ in range(N_MS + 1):
        seen.append(page.locator("#tip").inner_text())
        page.keyboard.press("ArrowRight")
    assert len(set(seen)) == N_MS + 1
    assert sum(text.startswith("Median") for text in seen) == 1
    page.keyboard.press("Home")
    assert page.locator("#tip").inner_text() == seen[0]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#change-NMOSD') !== null")


def test_the_comparison_filters_its_pairs_and_links_to_the_reports(report, page_at):
    page = opened(page_at, report / "comparison.html")
    points = page.locator("#pairs .mark.point:not([data-hidden])")
    everyone = points.count()
    assert everyone == 3 * 3 * (N_MS + N_NMOSD)
    page.get_by_label("MS", exact=True).uncheck()
    assert points.count() == 3 * 3 * N_NMOSD
    page.get_by_role("link", name="segmenter/1", exact=True).click()
    page.wait_for_load_state()
    assert page.locator("h1").inner_text().startswith("segmenter/1")
    page.get_by_role("link", name="All model versions side by side").click()
    assert page.locator("h1").inner_text().startswith("Model versions side by side")


def test_printed_pages_hold_everything(report, page_at):
    page = opened(page_at, report / "segmenter-v2.html")
    printed = page.pdf(format="A4", print_background=True)
    assert printed.startswith(b"%PDF")
    kept = Path(keep_screenshot(page, "printed")).with_name("segmenter-v2.pdf")
    kept.write_bytes(printed)
    assert 3 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 20
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("form.filters").is_hidden()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"


def test_scripts_in_the_data_do_not_run(report, tmp_path, page_at):
    results = tmp_path / "results"
    results.mkdir()
    for path in report.parent.iterdir():
        if path.is_file():
            (results / path.name).write_bytes(path.read_bytes())
    (results / "paper").mkdir()
    table_one = report.parent / "paper" / "table_one.csv"
    (results / "paper" / "table_one.csv").write_bytes(table_one.read_bytes())
    for name in ("change_per_participant", "intervals", "scans"):
        table = pd.read_csv(results / f"{name}.tsv", sep="\t", keep_default_na=False, dtype=str)
        table["participant_id"] += HOSTILE
        if "scanner" in table:
            table["scanner"] += HOSTILE
        table.to_csv(results / f"{name}.tsv", sep="\t", index=False)
    run(validated(ReportSettings, {"results": results, "models": []}))
    for name in PAGES:
        page = opened(page_at, results / "report" / name)
        assert page.title().startswith(("segmenter/2", "Model versions"))
        assert page.locator("img").count() == 0
        boxes = page.locator('input[name="scanner"]')
        boxes.first.uncheck()
        assert page.locator(".mark.point[data-hidden]").count() > 0
        mark = page.locator(".mark.point:not([data-hidden])").first
        mark.focus()
        assert HOSTILE in page.locator("#tip").inner_text()
        assert page.title().startswith(("segmenter/2", "Model versions"))


_CONTRAST = """() => {
  const parse = (text) => {
    const found = text.match(/[\\d.]+/g).map(Number);
    return found.length > 3 && found[3] === 0 ? null : found.slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map(
      (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const found = parse(getComputedStyle(one).backgroundColor);
      if (found) return found;
    }
    return parse(getComputedStyle(document.body).backgroundColor);
  };
  const text = {}, marks = {};
  document.querySelectorAll("main *, nav a, header *, footer *").forEach((one, at) => {
    const own = [...one.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !one.getClientRects().length) return;
    const style = getComputedStyle(one);
    const drawn = one.namespaceURI.endsWith("svg");
    const ink = parse(drawn ? style.fill : style.color);
    let behind = ground(one);
    const box = drawn && one.closest(".box");
    if (box) behind = parse(getComputedStyle(box.querySelector("rect")).fill);
    if (ink) text[`${at} ${one.tagName} ${one.textContent.slice(0, 30)}`] = ratio(ink, behind);
  });
  document.querySelectorAll(".mark.point circle, .mark.estimate circle").forEach((one, at) => {
    const style = getComputedStyle(one);
    const behind = ground(one);
    const filled = parse(style.fill);
    const alpha = Number(style.fillOpacity);
    const seen = filled && filled.map((v, i) => v * alpha + behind[i] * (1 - alpha));
    const stroke = style.stroke === "none" ? null : parse(style.stroke);
    const best = Math.max(seen ? ratio(seen, behind) : 0, stroke ? ratio(stroke, behind) : 0);
    marks[`${at} ${one.parentElement.getAttribute("class")}`] = best;
  });
  return { text, marks };
}"""
"""WCAG 2.2 contrast of all text with its ground, and of the marks of the charts."""
