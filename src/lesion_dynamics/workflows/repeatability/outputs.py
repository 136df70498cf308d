"""What a repeatability measurement leaves: the record, two tables and a picture."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lesion_dynamics.atomic_files import write_json
from lesion_dynamics.longitudinal.repeatability import (
    REPEATABILITY_FILE,
    Repeatability,
    RepeatabilityFigure,
)
from lesion_dynamics.longitudinal.tidy_tables import write_table
from lesion_dynamics.longitudinal.within_scan import (
    ALL,
    POOLED,
    noise_by_load,
    pooled_variances,
    scan_variances,
    summary,
)
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.settings.repeatability import AMONG_COPIES, RepeatabilitySettings

_LOG = logging.getLogger(__name__)
DIFFERENCES_FILE = "repeatability.tsv"
SUMMARY_FILE = "repeatability_summary.tsv"
PICTURE = "repeatability"
_FEWEST_SCANS = 2  # of the record's format


@dataclass(frozen=True, slots=True)
class Repeated:
    """differences : participant_id, session_id, diagnosis, perturbation, draw,
    original_lesion_volume_mm3, lesion_volume_mm3. failures : lines. source : for the record.

    pooled : perturbations whose variances are added.
    """

    differences: pd.DataFrame
    failures: tuple[str, ...]
    source: str
    pooled: tuple[str, ...]


def write_repeatability(
    folder: Path, repeated: Repeated, *, version: ModelVersion, settings: RepeatabilitySettings
) -> tuple[pd.DataFrame, list[Path]]:
    """Estimate and write; the summary, and the files in the order in which they were written."""
    from lesion_dynamics.report.repeatability_picture import draw_repeatability

    variances = scan_variances(repeated.differences, among_copies=AMONG_COPIES)
    pooled = _expanded(repeated.pooled, variances)
    together = pooled_variances(variances, pooled)
    figures = noise_figures(together)
    shown = pd.concat([variances, together], ignore_index=True)
    table = summary(
        shown,
        load_edges_mm3=settings.load_edges_mm3,
        smallest_cv_volume_mm3=settings.smallest_cv_volume_mm3,
    )
    tidy = repeated.differences.assign(
        difference_mm3=repeated.differences["lesion_volume_mm3"]
        - repeated.differences["original_lesion_volume_mm3"]
    ).sort_values(["participant_id", "session_id", "perturbation", "draw"], kind="stable")
    write_table(folder / DIFFERENCES_FILE, tidy)
    write_table(folder / SUMMARY_FILE, table)
    pictures = draw_repeatability(
        folder, name=PICTURE, differences=tidy, pooled=together, figures=figures
    )
    files = [folder / DIFFERENCES_FILE, folder / SUMMARY_FILE, *pictures]
    if figures:
        record = Repeatability(
            format=1,
            model_version=version.label,
            source=repeated.source,
            figures=tuple(figures),
        )
        write_json(folder / REPEATABILITY_FILE, record.model_dump(mode="json"))
        files.append(folder / REPEATABILITY_FILE)
    else:
        _LOG.warning("fewer than %d scans with all of %s: no record", _FEWEST_SCANS, pooled)
    _report(table, folder)
    return table, files


def _expanded(pooled: tuple[str, ...], variances: pd.DataFrame) -> list[str]:
    """Names as they stand in the table: ``precision`` stands for ``precision bf16``."""
    present = list(dict.fromkeys(variances["perturbation"]))
    return [name for name in present if name.split(" ")[0] in pooled]


def noise_figures(pooled: pd.DataFrame) -> list[RepeatabilityFigure]:
    """Noise of all scans, and of each diagnosis that has enough of them."""
    figures = []
    for diagnosis in (ALL, *sorted(set(pooled["diagnosis"]))):
        own = pooled[(pooled["diagnosis"] == diagnosis) | (diagnosis == ALL)]
        if len(own) < _FEWEST_SCANS:
            continue
        noise_mm3, noise_share = noise_by_load(
            own["volume_mm3"].to_numpy(dtype=float),
            own["variance_mm6"].to_numpy(dtype=float),
            own["freedom"].to_numpy(dtype=float),
        )
        figures.append(
            RepeatabilityFigure(
                diagnosis=diagnosis,
                noise_mm3=round(noise_mm3, 3),
                noise_share=round(noise_share, 6),
                scans=len(own),
            )
        )
    return figures


def _report(table: pd.DataFrame, folder: Path) -> None:
    for row in table[(table["diagnosis"] == ALL) & (table["load_mm3"] == ALL)].itertuples():
        _LOG.info(
            "%-18s %3d scans: SD %7.1f mm3, coefficient of variation %5.1f%% (%d scans), "
            "smallest detectable change %7.1f mm3; mean difference %+.1f mm3",
            "all together" if row.perturbation == POOLED else row.perturbation,
            row.scans,
            row.within_sd_mm3,
            row.coefficient_of_variation_percent,
            row.scans_in_coefficient,
            row.smallest_detectable_change_mm3,
            row.mean_difference_mm3,
        )
    _LOG.info("tables and picture: %s", folder)
