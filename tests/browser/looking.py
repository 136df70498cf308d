"""What tests in the browser look at: screenshots, their colours, a page's width."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.image import imread
from numpy.typing import NDArray
from tests.conftest import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

SCREENSHOTS = ROOT / "build" / "browser"


def keep_screenshot(page: Page, name: str, *, full: bool = False) -> Path:
    """``build/browser/<name>.png``, to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path, full_page=full)
    return path


def keep_text(name: str, said: str) -> None:
    """``build/browser/<name>.txt``: a timing is written down, and no test depends on it."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / f"{name}.txt").write_text(f"{said}\n", encoding="utf-8")


def pixels_of(part: Locator, name: str) -> NDArray[Any]:
    """(rows, columns, 3) of an element, 0 to 255; the picture is kept."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    part.screenshot(path=path)
    return np.rint(imread(path)[..., :3] * 255).astype(int)


def places_of(pixels: NDArray[Any], colour: str) -> NDArray[Any]:
    """(n, 2) row and column, 0 to 1, of pixels that are "orange", "red" or "blue"."""
    red, green, blue = (pixels[..., channel] for channel in range(3))
    found = {
        "orange": (red > 150) & (green > 90) & (green < red) & (blue < green - 60),
        "red": (red > 130) & (green < red - 60) & (blue < red - 60),
        "blue": (blue > 100) & (red < blue - 60) & (green < blue - 20),
    }[colour]
    return np.argwhere(found) / np.array(found.shape)


def overflow_px(page: Page) -> int:
    """Pixels by which the page is wider than its window; 0 is what everybody wants."""
    wide: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wide
