"""Text into HTML: whatever comes from a table is shown, never run."""

from __future__ import annotations

import json
import math
from html import escape
from importlib.resources import files
from typing import Any

CONTENT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' file:; style-src 'unsafe-inline'; "
    "img-src data: blob: file:; connect-src data: blob:; font-src data:"
)
"""The browser itself refuses every request that would leave the machine."""

MISSING = "n/a"


def asset(name: str) -> str:
    """A script or style sheet that comes with the package."""
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def asset_bytes(name: str) -> bytes:
    """The same as bytes."""
    return files(__package__).joinpath("assets", name).read_bytes()


def json_script(identifier: str, content: Any) -> str:
    """``content`` as data in a script element; no text in it can end the element."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<script type="application/json" id="{escape(identifier)}">{safe}</script>'


def document(*, title: str, body: str, scripts: str) -> str:
    """A whole page. title : plain text; body, scripts : HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{asset('pages.css')}</style>\n</head>\n"
        f"<body>\n{body}\n{scripts}\n</body>\n</html>\n"
    )


def number(value: float, *, decimals: int = 0, sign: bool = False) -> str:
    """``1,234`` with a true minus; ``n/a`` for NaN."""
    if not math.isfinite(value):
        return MISSING
    return f"{value:{'+' if sign else ''},.{decimals}f}".replace("-", "−")


def day(days: float) -> str:
    """``day 365``, or ``day unknown``."""
    return f"day {number(days)}" if math.isfinite(days) else "day unknown"


def volume(value: float) -> str:
    """``1,234 mm³`` or ``n/a``."""
    return f"{number(value)} mm³" if math.isfinite(value) else MISSING


def or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
