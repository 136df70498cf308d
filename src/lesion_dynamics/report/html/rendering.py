"""Templates into one self-contained page: style and script inlined, every value escaped."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Files of this package, no data: they may stand in the page as they are.
    found.globals["style"] = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704
    found.globals["script"] = Markup((TEMPLATES / "report.js").read_text(encoding="utf-8"))  # noqa: S704
    return found


def rendered(template: str, **values: Any) -> str:
    """The page of a template. Data reaches it as text and attributes alone, never as script."""
    page = _environment().get_template(template).render(**values)
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", page)
