"""The site builds strictly, and nothing on it asks for anything from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.conftest import ROOT

FOREIGN = re.compile(r"""(?:src|href)=["'](https?:)?//[^"']+["']""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))
    return folder


def test_every_page_is_there_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {path.stem for path in site.glob("*.html")} - {"404"}
    assert pages == {path.stem for path in (ROOT / "docs").glob("*.md")}
    for path in site.glob("*.html"):
        for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", path.read_text("utf-8")):
            assert not FOREIGN.search(tag), f"{path.name}: {tag}"


def test_pictures_and_tables_are_shown(site: Path) -> None:
    gallery = (site / "gallery.html").read_text(encoding="utf-8")
    for picture in re.findall(r'<img alt="[^"]+" src="([^"]+)"', gallery):
        assert (site / picture).is_file()
    assert "<table>" in (site / "troubleshooting.html").read_text(encoding="utf-8")
