"""All model versions side by side: what each makes of the conclusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from lesion_dynamics import __version__
from lesion_dynamics.longitudinal.measurements import TRUTH
from lesion_dynamics.longitudinal.side_by_side import published_figures
from lesion_dynamics.longitudinal.study import BETWEEN
from lesion_dynamics.longitudinal.verdicts import KEPT, UNKNOWN
from lesion_dynamics.longitudinal.version_differences import version_pairs
from lesion_dynamics.report.html.answer import CHANGE, PACE, interval_note
from lesion_dynamics.report.html.panel import Panel
from lesion_dynamics.report.html.people import people_of
from lesion_dynamics.report.html.release_panels import ESTIMATES, agreement_panels, release_panel
from lesion_dynamics.report.html.rendering import rendered
from lesion_dynamics.report.html.results import Results, page_name
from lesion_dynamics.report.html.tables import (
    Cells,
    class_change_cells,
    study_sections,
    verdict_cells,
)

_ASKED = (("MS", CHANGE, "pseudomedian"), ("NMOSD", CHANGE, "pseudomedian"),
          (BETWEEN, PACE, "shift"))  # fmt: skip
_QUESTION = {
    "MS": "the change in remission in MS",
    "NMOSD": "the change in remission in NMOSD",
    BETWEEN: "the difference in annualised change between MS and NMOSD",
}


@dataclass(frozen=True)
class PairSection:
    """What is shown of one pair: reference and other model version."""

    reference: str
    other: str
    panels: list[Panel]
    verdicts: Cells
    others: Cells
    changed: Cells
    open: bool


def comparison_page(results: Results, *, scan_pages: Mapping[str, str | None]) -> str:
    """The page as HTML.

    Parameters
    ----------
    scan_pages : link to the scan pages of each model version, where there are any.
    """
    versions = results.versions
    statistics = results.tables["statistics"]
    published = published_figures(results.publication)
    everyone = [*versions, TRUTH] if results.has_truth else versions
    level = float(results.study["interval_level"])
    heads, sections = study_sections(statistics, published)
    who = people_of(results, versions[-1])
    return rendered(
        "comparison.html",
        software=__version__,
        results=results,
        publication=results.publication,
        level=level,
        versions=[(name, page_name(name), scan_pages.get(name)) for name in versions],
        answer=newest_answer(results),
        releases=[release_panel(statistics, published, versions, one) for one in ESTIMATES],
        heads=heads,
        sections=sections,
        people=who,
        diagnoses=["MS", "NMOSD"],
        pairs=_pairs(results, version_pairs(everyone), level),
        interval_note=interval_note(level),
    )


def newest_answer(results: Results) -> str:
    """What the newest version makes of the three questions that the study asks."""
    versions = results.versions
    if len(versions) < 2:
        return (
            f"There is one model version, {versions[-1]}; a comparison needs a second one that"
            " measured the same cohort."
        )
    table = _verdicts(results, versions[-2], versions[-1])
    parts, found = [], []
    for diagnosis, quantity, statistic in _ASKED:
        row = table[
            (table["diagnosis"] == diagnosis)
            & (table["quantity"] == quantity)
            & (table["statistic"] == statistic)
        ]
        word = UNKNOWN if row.empty else str(row.iloc[0]["verdict"])
        reason = "" if row.empty else f" ({_plain(str(row.iloc[0]['reason']))})"
        found.append(word)
        is_word = word if word == UNKNOWN else f"is {word}"
        parts.append(f"{_QUESTION[diagnosis]} {is_word}{reason}")
    head = (
        "All three conclusions are kept" if set(found) == {KEPT} else "Not every conclusion is kept"
    )
    return f"{head} from {versions[-2]} to {versions[-1]}: {'; '.join(parts)}."


def _plain(reason: str) -> str:
    """A verdict's reason without brackets of its own."""
    return reason.replace(" (", ", ").replace(")", "")


def _pairs(results: Results, pairs: list[tuple[str, str]], level: float) -> list[PairSection]:
    """The newest pair first and open; the pairs with the truth last."""
    ordered = [pair for pair in reversed(pairs) if pair[0] != TRUTH]
    ordered += [pair for pair in reversed(pairs) if pair[0] == TRUTH]
    sections = []
    for number, (reference, other) in enumerate(ordered):
        moved = results.tables["class_changes"]
        changed = _of_pair(moved, reference, other)
        panels = agreement_panels(
            results.tables["change_per_participant"],
            results.tables["version_agreement"],
            (reference, other),
            people_of(results, other).who,
            key=f"pair{number}",
        )
        asked, others = _judged(_verdicts(results, reference, other))
        sections.append(
            PairSection(
                reference,
                other,
                panels,
                verdict_cells(asked, caption="Verdicts on the questions asked", level=level),
                verdict_cells(others, caption="Every other tested estimate", level=level),
                class_change_cells(changed),
                number == 0,
            )
        )
    return sections


def _judged(verdicts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The questions asked, and every other tested estimate."""
    keys = list(
        zip(verdicts["diagnosis"], verdicts["quantity"], verdicts["statistic"], strict=True)
    )
    asked = pd.Series([key in _ASKED for key in keys], index=verdicts.index, dtype=bool)
    return verdicts[asked], verdicts[~asked]


def _verdicts(results: Results, reference: str, other: str) -> pd.DataFrame:
    return _of_pair(results.tables["verdicts"], reference, other)


def _of_pair(table: pd.DataFrame, reference: str, other: str) -> pd.DataFrame:
    if "reference" not in table.columns:
        return pd.DataFrame(columns=["diagnosis", "quantity", "statistic"])
    return table[(table["reference"] == reference) & (table["model_version"] == other)]
