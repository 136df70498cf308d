"""Results of a small study with two model versions, and what a parser sees of a page."""

from html.parser import HTMLParser
from pathlib import Path

from tests.workflows.analysis_cohort import make_study, settings

from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.workflows import analysis

VOID = {"meta", "link", "input", "option", "img", "br"}


def analysed(folder: Path, *, report: bool = False) -> AnalyzeSettings:
    """Analyse the small study in ``folder``; its settings."""
    make_study(folder)
    chosen = settings(folder, report=report)
    analysis.run(chosen)
    return chosen


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self._texts: list[str] = []
        self._cells: list[list[str]] = []
        self._inside: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._inside.append(tag)
        if tag == "script":
            self.scripts.append("")
        if tag == "tr":
            self._cells.append([])
        if tag in ("td", "th") and self._cells:
            self._cells[-1].append("")

    def handle_endtag(self, tag):
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data):
        inside = self._inside[-1] if self._inside else ""
        if inside == "script":
            self.scripts[-1] += data
        elif inside != "style":
            self._texts.append(data)
            if {"td", "th"} & set(self._inside) and self._cells and self._cells[-1]:
                self._cells[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())

    def row(self, label: str, *, after: str = "") -> list[str]:
        """Cells of the first row with this label, after the row labelled ``after``."""
        rows = [[cell.strip() for cell in row] for row in self._cells if row]
        start = next((i for i, row in enumerate(rows) if row[0] == after), 0) if after else 0
        return next(row[1:] for row in rows[start:] if row[0] == label)

    def with_class(self, *names: str) -> list[dict[str, str]]:
        return [a for _, a in self.tags if set(names) <= set(a.get("class", "").split())]
