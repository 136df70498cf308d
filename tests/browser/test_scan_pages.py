"""Scan pages from file:// in a browser: pictures, overlays, one position, keys, every width."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.browser.looking import keep_screenshot, overflow_px, pixels_of, places_of
from tests.workflows.segmented_cohort import SegmentedCohort

from lesion_dynamics.workflows.scan_pages.run import run

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
UNNAMED = """
  [...document.querySelectorAll("img:not([alt]), canvas:not([aria-label]), svg:not([aria-label])")]
    .concat([...document.querySelectorAll("input, select")].filter((one) => !one.labels.length))
    .length
"""
"""Pictures and controls that a screen reader could not name."""
FIRST, SECOND = (f"figure[data-session='{n}'] canvas" for n in (0, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cohort = SegmentedCohort(tmp_path_factory.mktemp("pages") / "all").write()
    return run(cohort.settings(f"compare=[{cohort.derivatives(2)}]")).index.parent


@pytest.fixture
def shown(folder: Path, page_at: Callable[..., Page]) -> Callable[..., Page]:
    """A participant's page, once all its pictures are drawn."""

    def open_page(width: int = 1280, scheme: str = "light", *, file: str = "sub-ms01.html") -> Page:
        page = page_at(width, scheme)
        page.goto((folder / file).as_uri())
        page.wait_for_selector("body[data-drawn='1']")
        return page

    return open_page


def choose(page: Page, control: str, value: str) -> None:
    """Choose in a select and wait for the pictures."""
    before = int(page.get_attribute("body", "data-drawn") or 0)
    page.select_option(f"#{control}", value)
    page.wait_for_selector(f"body[data-drawn='{before + 1}']")


def positions(page: Page) -> list[list[float]]:
    found: list[list[float]] = page.evaluate("scanPage.positions()")
    return found


def test_the_scan_and_its_lesions_are_drawn_where_they_are(shown: Callable[..., Page]) -> None:
    page = shown()
    assert page.title() == "sub-ms01: tried"
    assert page.locator("#state").inner_text() == ""
    keep_screenshot(page, "participant_1280_light", full=True)
    before = pixels_of(page.locator(FIRST), "session_1_mask")
    head = before[..., 0].astype(int)
    assert (head > 60).mean() > 0.2  # the head
    assert (head < 10).mean() > 0.2  # the air
    # One ball on the participant's left, which is shown on the right, and one in the middle.
    columns = places_of(before, "orange")[:, 1]
    assert len(columns) > 50
    assert 0.4 < columns.min() < 0.6 < columns.max() < 0.85
    after = places_of(pixels_of(page.locator(SECOND), "session_2_mask"), "orange")
    assert after[:, 1].min() < 0.4  # the new one, on the participant's right


def test_overlays_change_what_is_seen(shown: Callable[..., Page]) -> None:
    page = shown()
    choose(page, "overlay", "change")
    pixels = pixels_of(page.locator(SECOND), "session_2_change")
    red, blue = places_of(pixels, "red"), places_of(pixels, "blue")
    assert len(red) > 20
    assert len(blue) > 20
    assert red[:, 1].mean() < 0.4  # new: on the participant's right, in front of
    assert blue[:, 0].mean() > red[:, 0].mean()  # what has gone, at the back
    assert "new" in page.locator("#legend").inner_text()
    assert "nothing before it" in page.locator("figure .note").first.inner_text()
    choose(page, "overlay", "none")
    pixels = pixels_of(page.locator(SECOND), "session_2_bare")
    assert not len(places_of(pixels, "orange"))
    assert not len(places_of(pixels, "red"))
    choose(page, "overlay", "probability")
    pixels = pixels_of(page.locator(SECOND), "session_2_probability")
    assert (np.ptp(pixels, axis=-1) > 60).sum() > 50


def test_versions_are_compared_side_by_side(shown: Callable[..., Page]) -> None:
    page = shown()
    choose(page, "beside", "lesion-segmenter/2")
    canvases = page.locator("figure[data-session='1'] canvas")
    assert canvases.count() == 2
    first, second = (pixels_of(canvases.nth(n), f"version_{n + 1}") for n in (0, 1))
    assert places_of(first, "orange")[:, 1].min() < 0.4
    assert places_of(second, "orange")[:, 1].min() > 0.6  # has not seen the new one
    said = page.locator("figure[data-session='1'] .said").inner_text()
    volumes = {1: "1,782", 2: "891"}
    expected = [f"lesion-segmenter/{n}: {volume} mm³, 2 lesions" for n, volume in volumes.items()]
    assert said == " · ".join(expected)
    choose(page, "version", "lesion-segmenter/2")
    choose(page, "beside", "")
    assert canvases.count() == 1
    assert places_of(pixels_of(canvases.first, "version_2_alone"), "orange")[:, 1].min() > 0.6


def test_one_position_for_all_sessions(shown: Callable[..., Page]) -> None:
    page = shown()
    start = positions(page)
    assert len(start) == 3
    assert start[0] == start[1] == start[2]
    box = page.locator(FIRST).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.6)
    moved = positions(page)
    np.testing.assert_allclose(moved[1], moved[0])
    np.testing.assert_allclose(moved[2], moved[0])
    assert abs(moved[0][0] - start[0][0]) > 0.01
    page.mouse.wheel(0, 100)
    turned = positions(page)
    assert turned[0][2] != moved[0][2]
    np.testing.assert_allclose(turned[1], turned[0])


def test_keys_turn_slices_and_go_from_session_to_session(shown: Callable[..., Page]) -> None:
    page = shown()
    size = page.evaluate("JSON.parse(document.getElementById('page-data').textContent).shape")
    start = positions(page)[0]
    page.locator(FIRST).focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert positions(page)[1][2] == pytest.approx(start[2] + 2 / size[2], abs=1e-5)
    page.keyboard.press("Home")
    assert positions(page)[2][2] == pytest.approx(0.5 / size[2], abs=1e-5)
    page.keyboard.press("v")  # the viewer's own keys would leave the controls behind
    assert page.locator("#plane").input_value() == "axial"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.closest('figure').dataset.session") == "1"
    page.locator("#y").focus()
    page.keyboard.press("PageUp")
    assert positions(page)[0][1] > start[1]
    choose(page, "plane", "sagittal")
    page.locator(FIRST).focus()
    page.keyboard.press("ArrowDown")
    assert positions(page)[0][0] == pytest.approx(start[0] - 1 / size[0], abs=1e-5)


def test_planes_and_sessions_are_chosen(shown: Callable[..., Page]) -> None:
    page = shown()
    axial = pixels_of(page.locator(FIRST), "plane_axial")
    choose(page, "plane", "sagittal")
    sagittal = pixels_of(page.locator(FIRST), "plane_sagittal")
    assert np.abs(axial[10:-10, 10:-10] - sagittal[10:-10, 10:-10]).mean() > 2
    page.locator("input[data-session='1']").uncheck()
    page.wait_for_selector("body[data-drawn='3']")
    assert len(positions(page)) == 2
    assert not page.locator("figure[data-session='1']").is_visible()
    page.locator("input[data-session='1']").check()
    page.wait_for_selector("body[data-drawn='4']")
    assert len(positions(page)) == 3
    assert places_of(pixels_of(page.locator(SECOND), "session_2_again"), "orange").size


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 2560])
def test_pages_fit_every_width_in_both_schemes(
    shown: Callable[..., Page], width: int, scheme: str
) -> None:
    page = shown(width, scheme, file="sub-nmo01.html")
    choose(page, "plane", "all")
    assert overflow_px(page) == 0
    keep_screenshot(page, f"participant_{width}_{scheme}", full=True)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 26)")
    assert page.title() == "sub-nmo01: tried"  # no script of a table has run
    assert "<script>" in page.locator("figure .flag").inner_text()
    missing = page.evaluate(UNNAMED)
    assert missing == 0


def test_without_the_viewer_beside_it_the_page_says_so_and_shows_still_pictures(
    folder: Path, tmp_path: Path, page_at: Callable[..., Page]
) -> None:
    (tmp_path / "sub-ms01.html").write_bytes((folder / "sub-ms01.html").read_bytes())
    (tmp_path / "niivue.js").write_text("// nothing")
    page = page_at()
    page.goto((tmp_path / "sub-ms01.html").as_uri())
    assert "niivue.js must lie beside this page" in page.locator("#state").inner_text()
    picture = page.locator("figure[data-session='1'] img")
    assert picture.evaluate("image => image.naturalWidth") > 50
    assert len(places_of(pixels_of(picture, "still"), "orange")) > 20
