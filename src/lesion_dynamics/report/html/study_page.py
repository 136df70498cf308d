"""The report of one model version: everything it shows, in the order in which it is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lesion_dynamics import __version__
from lesion_dynamics.longitudinal.measurements import TRUTH
from lesion_dynamics.longitudinal.side_by_side import published_figures
from lesion_dynamics.longitudinal.study import BETWEEN
from lesion_dynamics.report.html import answer as words
from lesion_dynamics.report.html import facts as known
from lesion_dynamics.report.html.facts import VersionFacts
from lesion_dynamics.report.html.flow import flow_counts, flow_of
from lesion_dynamics.report.html.lesion_map_pictures import COMMAND, MapPicture
from lesion_dynamics.report.html.lineage import lineage_cells, settings_cells
from lesion_dynamics.report.html.people import people_of
from lesion_dynamics.report.html.rendering import rendered
from lesion_dynamics.report.html.results import Results
from lesion_dynamics.report.html.specification_panel import specification_panel
from lesion_dynamics.report.html.study_panels import change_panels, trajectory_panels
from lesion_dynamics.report.html.tables import (
    participants_cells,
    pretty,
    study_sections,
    table_one_cells,
)

_STATIC = ("trajectories", "annualised_change", "robustness")


def study_page(
    results: Results,
    version: str,
    facts: VersionFacts,
    *,
    maps: Sequence[MapPicture] = (),
    maps_folder: str = "",
    maps_record: str = "",
    scan_pages: str | None = None,
    comparison: str | None = None,
) -> str:
    """The page as HTML.

    Parameters
    ----------
    maps : pictures of the lesion maps. maps_folder : where their files lie, as a link.
    maps_record : how the maps were made, as text.
    scan_pages, comparison : links to the other pages, relative; None: there is none.
    """
    statistics = results.of("statistics", version)
    true = results.of("statistics", TRUTH)
    published = published_figures(results.publication)
    people = people_of(results, version)
    changes = results.of("change_per_participant", version)
    level = float(results.study["interval_level"])
    both = results.tables["statistics"]
    heads, sections = study_sections(both[both["model_version"].isin([version, TRUTH])], published)
    performance = [
        known.validation_table(facts),
        known.operating_point_table(facts),
        known.repeatability_table(facts),
        known.volume_error_table(statistics),
        known.measurement_error_table(results.of("measurement_error", version)),
    ]
    return rendered(
        "study.html",
        software=__version__,
        version=version,
        results=results,
        publication=results.publication,
        answer=words.answer(statistics, level=level),
        true_line=true_line(results),
        level=level,
        interval_note=words.interval_note(level),
        p_note=words.p_note(level),
        weights=facts.weights_sha256,
        table_one=table_one_cells(results.table_one),
        heads=heads,
        sections=sections,
        people=people,
        diagnoses=[name for name in ("MS", "NMOSD") if (changes["diagnosis"] == name).any()],
        trajectories=trajectory_panels(people, results.of("intervals", version), changes),
        changes=change_panels(people, changes, statistics, published, true),
        participants=participants_cells(changes),
        maps=maps,
        maps_folder=maps_folder,
        maps_record=maps_record,
        maps_command=COMMAND,
        performance=[table for table in performance if table is not None],
        no_manifest=facts.manifest is None and not facts.outside,
        no_repeatability=facts.repeatability is None,
        specification=specification_panel(results.of("robustness", version)),
        flow=flow_of(flow_counts(results, version)),
        rules=settings_cells(results),
        lineage=lineage_cells(results, version, facts),
        configuration=pretty(results.provenance["settings"]),
        scan_pages=scan_pages,
        comparison=comparison,
        static=static_pictures(results.folder),
    )


def true_line(results: Results) -> str:
    """What the truth says to the same two questions; empty where it is not known."""
    if not results.has_truth:
        return ""
    true = results.of("statistics", TRUTH)
    parts = []
    for diagnosis in ("MS", "NMOSD"):
        row = words.row_of(true, diagnosis, words.CHANGE, "pseudomedian")
        if row is not None:
            parts.append(f"{diagnosis} {words.with_interval(row, signed=True)}")
    shift = words.row_of(true, BETWEEN, words.PACE, "shift")
    gap = "" if shift is None else f"; MS less NMOSD {words.with_interval(shift, signed=True)}"
    return f"{'; '.join(parts)}{gap}" if parts else ""


def static_pictures(folder: Path) -> list[tuple[str, str]]:
    """Names and links of the pictures for papers that lie beside the results."""
    return [
        (f"{name}.{kind}", f"../{name}.{kind}")
        for name in _STATIC
        for kind in ("svg", "png")
        if (folder / f"{name}.{kind}").is_file()
    ]
