"""Write the pages of a finished analysis: one a model version, and the comparison."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lesion_dynamics.atomic_files import require_writable_folder, write_text
from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.report.html.comparison_page import comparison_page
from lesion_dynamics.report.html.facts import VersionFacts
from lesion_dynamics.report.html.lesion_map_pictures import GROUP, RECORD, lesion_map_pictures
from lesion_dynamics.report.html.results import Results, page_name, read_results
from lesion_dynamics.report.html.study_page import study_page
from lesion_dynamics.settings.study_report import ReportSettings
from lesion_dynamics.workflows.analysis_inputs import measurement_files
from lesion_dynamics.workflows.lineage.derived import every_file, write_derived_lineage
from lesion_dynamics.workflows.study_report.version_files import (
    SCAN_PAGES,
    facts_of_versions,
    require_folder,
)

FOLDER = "report"
COMPARISON = "comparison.html"
_PICTURES = "lesion_maps"


def run(settings: ReportSettings) -> dict[str, Path]:
    """Pages of existing results; files by name.

    Raises
    ------
    UserError : the results cannot be read, a version is not among them, or nothing can be written.
    """
    require_folder(settings.results)
    results = read_results(settings.results)
    recorded = results.provenance["settings"].get("measurements", [])
    patterns = settings.measurements or tuple(map(str, recorded))
    files = measurement_files(patterns) if settings.measurements else _present(patterns)
    facts = facts_of_versions(files, settings.models)
    written = write_pages(results, facts, only=settings.model_version)
    show(written)
    return written


def _present(patterns: Sequence[str]) -> list[Path]:
    """Tables that the analysis read, those that are still where they were."""
    found = []
    for pattern in patterns:
        try:
            found += measurement_files((pattern,))
        except MeasurementsError:
            continue
    return found


def write_pages(
    results: Results, facts: Mapping[str, VersionFacts], *, only: str | None = None
) -> dict[str, Path]:
    """Write ``report/<name>-v<N>.html`` of every model version and ``report/comparison.html``.

    Parameters
    ----------
    facts : what is known of the versions; those missing get a page all the same.
    only : the one model version to write; None: all of them.
    """
    if only is not None and only not in results.versions:
        raise MeasurementsError(
            f"no model version {only} among the results", where=results.folder,
            remedy=f"Analysed are: {', '.join(results.versions) or 'none'}.",
        )  # fmt: skip
    folder = results.folder / FOLDER
    require_writable_folder(folder)
    links = {name: _scan_pages(folder, facts.get(name)) for name in results.versions}
    written = {}
    for version in results.versions if only is None else [only]:
        own = facts.get(version, VersionFacts())
        name = page_name(version)
        pictures = f"{_PICTURES}/{name.removesuffix('.html')}"
        maps = []
        if own.folder is not None:
            maps = lesion_map_pictures(own.folder / GROUP, output=folder / pictures)
        page = study_page(
            results,
            version,
            own,
            maps=maps,
            maps_folder=pictures,
            maps_record=_text(own.folder / GROUP / RECORD) if own.folder and maps else "",
            scan_pages=links[version],
            comparison=COMPARISON,
        )
        written[name] = folder / name
        write_text(written[name], page)
    written[COMPARISON] = folder / COMPARISON
    write_text(written[COMPARISON], comparison_page(results, scan_pages=links))
    write_derived_lineage(
        folder,
        command="report",
        source=("report/html", "workflows/study_report"),
        outputs=every_file(folder),
        made_from=[results.folder],
    )
    return written


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _scan_pages(folder: Path, facts: VersionFacts | None) -> str | None:
    """Link from the report to the scan pages of a model version, where they exist."""
    if facts is None or facts.folder is None:
        return None
    index = (facts.folder / SCAN_PAGES).resolve()
    if not index.is_file():
        return None
    return Path(os.path.relpath(index, folder.resolve())).as_posix()


def show(written: Mapping[str, Path]) -> None:
    """Where the pages are."""
    from rich.console import Console

    console = Console(soft_wrap=True)
    paths = ", ".join(str(path) for path in written.values())
    console.print(f"Report: {paths}", highlight=False, markup=False)
