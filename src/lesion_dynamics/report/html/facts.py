"""What is known of a model version besides its results: manifest, operating point and the like."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.repeatability import Repeatability
from lesion_dynamics.report.html.answer import figure, unit_text
from lesion_dynamics.report.html.results import records
from lesion_dynamics.report.html.tables import Cells, interval_text, number_or_dash, quantity_words
from lesion_dynamics.settings.operating_point import OperatingPoint

_VALIDATION = (
    ("scan_count", "validation scans", ""),
    ("mean_dice", "Dice, mean", ""),
    ("mean_lesion_f1", "lesion F1, mean", ""),
    ("mean_lesion_sensitivity", "lesion sensitivity, mean", ""),
    ("mean_lesion_precision", "lesion precision, mean", ""),
    ("mean_hd95_mm", "95th percentile of surface distance, mean (mm)", "mm"),
    ("mean_volume_difference_mm3", "volume difference, mean (mm³)", "mm3"),
    ("mean_absolute_volume_difference_mm3", "absolute volume difference, mean (mm³)", "mm3"),
    ("lesion_free_scan_count", "lesion-free scans among them", ""),
    ("mean_false_positive_volume_lesion_free_mm3", "false volume in those, mean (mm³)", "mm3"),
    ("dice_undefined_count", "scans without a Dice (nothing to find)", ""),
)


@dataclass(frozen=True)
class VersionFacts:
    """Of one model version; None or empty where it is not at hand.

    folder : its derivatives. manifest : what `model_version.Manifest` holds, as plain values.
    weights_sha256, operating_point : as recorded with the measurements.
    outside : what stands behind masks of another tool. maps : folder of the lesion maps.
    """

    folder: Path | None = None
    manifest: dict[str, Any] | None = None
    weights_sha256: str = ""
    operating_point: OperatingPoint | None = None
    repeatability: Repeatability | None = None
    outside: str = ""
    exclusions: tuple[dict[str, Any], ...] = field(default=())


def validation_table(facts: VersionFacts) -> Cells | None:
    """The segmenter on its validation participants, by diagnosis; None without a manifest."""
    found = (facts.manifest or {}).get("validation", {})
    groups = {"all": found.get("all", {}), **found.get("by_diagnosis", {})}
    if not groups["all"]:
        return None
    rows = []
    for key, label, unit in _VALIDATION:
        cells = [_metric(group.get(key), unit) for group in groups.values()]
        if any(cell != "-" for cell in cells):
            rows.append((label, cells))
    return Cells(
        "Segmenter against the reference masks of its validation participants",
        ("measure", *groups),
        rows,
    )


def _metric(value: object, unit: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-"
    return str(value) if isinstance(value, int) else figure(float(value), unit)


def volume_error_table(statistics: pd.DataFrame) -> Cells | None:
    """Measured less true volume, by diagnosis and load; None where the truth is not known."""
    own = statistics[
        statistics["quantity"].isin(["volume_error_mm3", "volume_in_lesion_free_scans_mm3"])
    ]
    if own.empty:
        return None
    rows = []
    for (quantity, statistic), group in own.groupby(["quantity", "statistic"], sort=False):
        what = "volume error" if quantity == "volume_error_mm3" else "volume in lesion-free scans"
        cells = []
        for diagnosis in DIAGNOSES:
            mine = group[group["diagnosis"] == diagnosis]
            cells.append("-" if mine.empty else interval_text(mine.iloc[0]))
        rows.append((f"{what}, {statistic} (mm³)", cells))
    return Cells("Measured volume less the true one", ("measure", *DIAGNOSES), rows)


def measurement_error_table(errors: pd.DataFrame) -> Cells | None:
    """The segmenter's error and what it does to the answer."""
    if errors.empty:
        return None
    rows = []
    for row in records(errors):
        unit = unit_text(str(row["unit"]))
        shown = interval_text(row)
        label = f"{row['diagnosis']}: {quantity_words(str(row['quantity']))}, {row['statistic']}"
        rows.append((label, [f"{shown} {unit}".strip(), str(row["note"])]))
    return Cells("Measurement error in the answer", ("measure", "value", "note"), rows)


def operating_point_table(facts: VersionFacts) -> Cells | None:
    """Threshold, smallest lesion, connectivity."""
    point = facts.operating_point
    if point is None:
        return None
    rows = [
        ("probability threshold", [f"{point.probability_threshold:g}"]),
        ("smallest lesion (mm³)", [f"{point.minimum_lesion_volume_mm3:g}"]),
        ("connectivity (neighbours)", [f"{point.connectivity}"]),
    ]
    return Cells("Operating point", ("setting", "value"), rows)


def repeatability_table(facts: VersionFacts) -> Cells | None:
    """Noise of one scan's volume between repeated scans of the same participant."""
    record = facts.repeatability
    if record is None:
        return None
    rows = [
        (str(one.diagnosis), [number_or_dash(one.noise_mm3, "mm3"), f"{one.noise_share:.1%}",
                         str(one.scans)])
        for one in record.figures
    ]  # fmt: skip
    return Cells(
        "Repeatability",
        ("diagnosis", "noise (mm³)", "noise, share of the volume", "scans"),
        rows,
        note=record.source,
    )
