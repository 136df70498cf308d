"""What is known of a candidate and a champion, on the same validation scans where it can be had.

Where the champion was validated on other scans, it is measured again on those of the candidate;
where one record leaves smaller lesions out than the other, both are, through the finer of the two
sieves.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.errors import UserError
from lesion_dynamics.longitudinal.release_gates import Evidence, not_the_same_scans
from lesion_dynamics.longitudinal.repeatability import REPEATABILITY_FILE, read_repeatability
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.settings.promotion import PromoteSettings
from lesion_dynamics.workflows.releases.measured_again import (
    Measured,
    measured_on,
    validation_scans,
)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weighed:
    """Both versions' figures. measured_again : for the log of promotions.

    unavailable : why they could not be measured on the same scans; empty where they are.
    """

    candidate: Evidence
    champion: Evidence
    measured_again: tuple[Mapping[str, Any], ...] = ()
    unavailable: str = ""


def study_tables(results: Path) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Verdicts and changes of the study, where there is one."""
    found = []
    for name in ("verdicts.tsv", "change_per_participant.tsv"):
        path = results / name
        table = pd.read_csv(path, sep="\t", na_values="n/a") if path.is_file() else None
        found.append(table)
    return found[0], found[1]


def weigh(
    candidate: ModelVersion,
    champion: ModelVersion,
    changes: pd.DataFrame | None,
    settings: PromoteSettings,
) -> Weighed:
    """The records of both, measured again where they are not of the same scans."""
    own, theirs = (_recorded(version, changes) for version in (candidate, champion))
    differ = not_the_same_scans(own, theirs)
    if differ is None:
        return Weighed(own, theirs)
    _LOG.info("%s against %s: %s", candidate.label, champion.label, differ)
    try:
        scans = validation_scans(candidate, champion, settings.validation)
    except UserError as error:
        _LOG.warning("%s cannot be measured on the candidate's scans: %s", champion.label, error)
        return Weighed(own, theirs, unavailable=error.what)
    sieve = min(own.sieve_mm3, theirs.sieve_mm3)
    again = [measured_on(scans, champion, sieve, settings)]
    if sieve != own.sieve_mm3 or not scans.as_validated:
        again.append(measured_on(scans, candidate, sieve, settings))
    for one in again:
        _LOG.info("%s", one.line)
    by_label = {one.label: one for one in again}
    return Weighed(
        _renewed(own, by_label, sieve), _renewed(theirs, by_label, sieve),
        tuple(one.for_the_log() for one in again),
    )  # fmt: skip


def _renewed(evidence: Evidence, again: Mapping[str, Measured], sieve_mm3: float) -> Evidence:
    found = again.get(evidence.label)
    record = evidence.validation if found is None else found.record
    return replace(evidence, validation=record, sieve_mm3=sieve_mm3)


def _recorded(version: ModelVersion, changes: pd.DataFrame | None) -> Evidence:
    record = version.weights.with_name(REPEATABILITY_FILE)
    column = "smallest_detectable_change_mm3"
    detectable: dict[str, float] = {}
    if changes is not None and column in changes:
        own = changes[changes["model_version"] == version.label].dropna(subset=[column])
        for diagnosis, values in own.groupby("diagnosis")[column]:
            detectable[str(diagnosis)] = float(values.median())
    validation, point = version.manifest.validation, version.manifest.operating_point
    return Evidence(
        version.label,
        validation,
        # Earlier records do not say it: their sieve was the operating point's minimum.
        float(validation.get("sieve_mm3", point.minimum_lesion_volume_mm3)),
        read_repeatability(record) if record.is_file() else None,
        detectable,
    )
