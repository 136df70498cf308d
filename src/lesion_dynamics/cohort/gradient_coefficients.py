"""Which scan is corrected with which file of gradient coefficients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from lesion_dynamics.cohort.cohort import CohortTables, Scan
from lesion_dynamics.errors import CohortError
from lesion_dynamics.settings.cohort import ANY_SCANNER, DistortionSettings


def with_gradient_coefficients(
    scan: Scan, tables: CohortTables, settings: DistortionSettings
) -> Scan:
    """The scan with the coefficient file of its scanner, where there is one.

    A FLAIR whose sidecar says `NonlinearGradientCorrection` was corrected on the scanner and
    is not corrected again.
    """
    files = settings.gradient_coefficients
    if not files or _corrected_on_scanner(scan.images["FLAIR"]):
        return scan
    found = files.get(_scanner_of(scan, tables), files.get(ANY_SCANNER))
    return scan if found is None else replace(scan, gradient_coefficients=found)


def require_coefficient_files(settings: DistortionSettings) -> None:
    """Raise `CohortError` where a named file is missing."""
    for scanner, path in settings.gradient_coefficients.items():
        if not path.is_file():
            raise CohortError(
                f"there is no file of gradient coefficients for scanner {scanner}",
                where=path,
                remedy="Correct cohort.distortion.gradient_coefficients, or leave it empty.",
            )


def _scanner_of(scan: Scan, tables: CohortTables) -> str:
    sessions, participants = tables.sessions, tables.participants
    own = sessions[
        (sessions["participant_id"] == scan.participant_id)
        & (sessions["session_id"] == scan.session_id)
    ]
    whose = participants[participants["participant_id"] == scan.participant_id]
    for table in (own, whose):
        for name in table.get("scanner", pd.Series(dtype=object)):
            if isinstance(name, str) and name:
                return name
    return ANY_SCANNER


def _corrected_on_scanner(image: Path) -> bool:
    sidecar = image.with_name(image.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, Mapping) and content.get("NonlinearGradientCorrection") is True
