"""Pages in a real browser: Debian's chromium, headless, with WebGL drawn in software.

Every test that uses `page_at` is marked `browser` and skips where playwright or chromium is
missing. A page fails its test when it writes an error to the console, throws, or asks for anything
that does not lie on this machine. Screenshots are kept in build/browser/ (`looking`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
LOCAL = ("file:", "data:", "blob:", "about:")
ARGUMENTS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--force-color-profile=srgb",
]
_HEIGHT = 900


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("playwright is not installed (pip install playwright)")
    if CHROMIUM is None:
        pytest.skip("there is no chromium (apt install chromium)")
    with sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def page_at(browser: Browser) -> Iterator[Callable[..., Page]]:
    """``page_at(width, scheme)``: an empty page in a window of that width, light or dark.

    After the test: no console error, nothing thrown, no request that would leave this machine.
    """
    opened: list[Page] = []
    faults: list[str] = []

    def note(kind: str, text: str) -> None:
        if kind == "error":
            faults.append(f"console: {text}")

    def ask(url: str) -> None:
        if not url.startswith(LOCAL):
            faults.append(f"request: {url[:200]}")

    def open_page(width: int = 1280, scheme: str = "light", *, height: int = _HEIGHT) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        context.route(lambda url: not url.startswith(LOCAL), lambda route: route.abort())
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: note(message.type, message.text))
        page.on("pageerror", lambda error: faults.append(f"thrown: {error}"))
        page.on("request", lambda request: ask(request.url))
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.context.close()
    assert not faults, faults
