"""The cohort's page in a browser: order, selection, widths, and a thousand participants."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.browser.looking import keep_screenshot, keep_text, overflow_px

from lesion_dynamics.report.scan_pages.content import IndexEntry, IndexSession
from lesion_dynamics.report.scan_pages.embedded import thumbnail
from lesion_dynamics.report.scan_pages.index_page import index_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.title='hacked'\">"
PARTICIPANTS = 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand participants of four sessions; number n has n % 7 flags and changes by n mm³."""
    folder = tmp_path_factory.mktemp("index")
    (folder / "thumbnails").mkdir()
    entries = []
    for n in range(PARTICIPANTS):
        name = f"sub-{n:04d}"
        sessions = []
        for session in range(4):
            picture = f"thumbnails/{name}_ses-{session}.webp"
            flags = n % 7 if session == 0 else 0
            said = HOSTILE if flags else ""
            sessions.append(
                IndexSession(f"ses-{session}", 365.0 * session, 100.0, flags, said, picture)
            )
        change = (-1) ** n * float(n) if n else math.nan
        entries.append(
            IndexEntry(name, ("MS", "NMOSD")[n % 2], tuple(sessions), change, 1000.0 - n, 0.9)
        )
    grey = np.random.default_rng(1).integers(60, 110, (96, 116, 1)).astype(np.uint8)
    mask = np.zeros_like(grey)
    mask[40:50, 40:50] = 1
    content = thumbnail(grey, mask, height_index=0)
    for entry in entries:
        for one in entry.sessions:
            (folder / one.thumbnail).write_bytes(content)
    page = index_page(entries, cohort="large", versions=["a/1", "a/2"])
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder


@pytest.fixture
def shown(folder: Path, page_at: Callable[..., Page]) -> Callable[..., Page]:
    def open_page(width: int = 1280, scheme: str = "light") -> Page:
        page = page_at(width, scheme)
        page.goto((folder / "index.html").as_uri(), wait_until="load")
        page.wait_for_selector("body[data-shown]")
        return page

    return open_page


def first(page: Page, count: int) -> list[str]:
    names: list[str] = page.evaluate(
        "[...document.querySelectorAll('.card:not([hidden])')].map(card => card.dataset.name)"
    )
    return names[:count]


def test_those_to_look_at_first_come_first(shown: Callable[..., Page]) -> None:
    page = shown()
    assert page.title() == "Scans of large"
    assert first(page, 2) == ["sub-0006", "sub-0013"]  # six flags, then by name
    page.select_option("#sort", "change")
    assert first(page, 2) == ["sub-0999", "sub-0998"]  # by size, whichever way
    page.select_option("#sort", "disagreement")
    assert first(page, 2) == ["sub-0000", "sub-0001"]
    page.select_option("#sort", "name")
    assert first(page, 2) == ["sub-0000", "sub-0001"]


def test_participants_are_selected(shown: Callable[..., Page]) -> None:
    page = shown()
    page.select_option("#diagnosis", "NMOSD")
    assert page.locator("#count").inner_text() == "500 of 1000 participants"
    page.check("#flagged")
    names = first(page, PARTICIPANTS)
    expected = {f"sub-{n:04d}" for n in range(PARTICIPANTS) if n % 2 and n % 7}
    assert set(names) == expected
    page.fill("#search", "SUB-00")
    assert set(first(page, PARTICIPANTS)) == {name for name in expected if "sub-00" in name}


def test_a_thousand_participants_load_what_is_in_view(shown: Callable[..., Page]) -> None:
    page = shown()
    timing = page.evaluate(
        "(({loadEventEnd, startTime}) => loadEventEnd - startTime)"
        "(performance.getEntriesByType('navigation')[0])"
    )
    keep_text("index_of_1000_load_ms", f"{timing:.0f}")
    loaded = page.evaluate("[...document.images].filter(i => i.complete && i.naturalWidth).length")
    assert 4 <= loaded < 1000  # what is in view, not 4,000 pictures
    assert page.evaluate("document.images.length") == 4 * PARTICIPANTS
    page.locator(".card").last.scroll_into_view_if_needed()
    last = page.locator(".card").last.locator("img").first
    last.evaluate("image => image.decode()")
    assert last.evaluate("image => image.naturalWidth") > 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 2560])
def test_the_page_fits_every_width_and_shows_text_as_text(
    shown: Callable[..., Page], width: int, scheme: str
) -> None:
    page = shown(width, scheme)
    page.locator(".card img").first.evaluate("image => image.decode()")
    keep_screenshot(page, f"index_{width}_{scheme}")
    assert overflow_px(page) == 0
    assert page.title() == "Scans of large"
    assert HOSTILE in page.locator(".card .flag").first.inner_text()
    assert page.evaluate("[...document.images].every(image => image.alt)")
