"""The sessions of a cohort that ``infer.py`` has segmented, with what their sidecars say."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.errors import CohortError, MeasurementsError
from lesion_dynamics.longitudinal.measurements import FILE_NAME, MEASURED, read_measurements
from lesion_dynamics.records.derivatives import ScanOutputs

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SegmentedSession:
    """A row of the measurements, its day and the files of the scan.

    days : from baseline; NaN where the cohort does not say. sidecar : of the mask.
    """

    participant_id: str
    session_id: str
    days: float
    row: Mapping[str, Any]
    outputs: ScanOutputs
    sidecar: Mapping[str, Any]


def segmented_sessions(derivatives: Path, tables: CohortTables) -> list[SegmentedSession]:
    """Every measured scan of the cohort, ordered by participant and day.

    Sessions without a day are left out, with a warning: they have no place in the order.

    Raises
    ------
    CohortError : nothing was segmented there, or another cohort was.
    MeasurementsError : scans of several model versions in one folder.
    """
    if not (derivatives / FILE_NAME).is_file():
        raise CohortError(
            f"there is no {FILE_NAME} here",
            where=derivatives,
            remedy="Name the folder of one model version, and run infer.py first.",
        )
    measured = read_measurements(derivatives / FILE_NAME)
    measured = measured[measured["status"] == MEASURED]
    if len(set(measured["model_version"])) > 1:
        raise MeasurementsError(
            "the table holds several model versions", where=derivatives / FILE_NAME,
            remedy="Lesions are tracked within one: name the folder that infer.py wrote.",
        )  # fmt: skip
    index = ["participant_id", "session_id"]
    days = tables.sessions.set_index(index)["days_from_baseline"]
    known = measured[pd.MultiIndex.from_frame(measured[index]).isin(days.index)]
    if not len(known):
        raise CohortError(
            "none of its scans belongs to the cohort", where=derivatives,
            remedy="Name the cohort that was segmented, for example cohort=bids cohort.root=...",
        )  # fmt: skip
    found = []
    for row in known.to_dict("records"):
        key = (str(row["participant_id"]), str(row["session_id"]))
        day = float(days.loc[key])
        if math.isnan(day):
            _LOG.warning("left out: %s %s: the day of the session is unknown", *key)
            continue
        outputs = ScanOutputs.of(*key, derivatives)
        named = {str(name): value for name, value in row.items()}
        found.append(SegmentedSession(*key, day, named, outputs, _sidecar(outputs)))
    return sorted(found, key=lambda one: (one.participant_id, one.days, one.session_id))


def _sidecar(outputs: ScanOutputs) -> Mapping[str, Any]:
    try:
        text = outputs.sidecar.read_text(encoding="utf-8")
        content: dict[str, Any] = dict(json.loads(text))
        outputs.mask.stat()
    except (OSError, ValueError, TypeError) as error:
        raise CohortError(
            "this lesion mask or its sidecar cannot be read", where=outputs.mask,
            remedy="Run infer.py again: it restores what is missing.",
        ) from error  # fmt: skip
    return content
