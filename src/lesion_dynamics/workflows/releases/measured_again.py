"""A model version measured on the validation scans of another one, and kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesion_dynamics.atomic_files import hash_of_content, hash_of_file, write_json
from lesion_dynamics.cohort.cohort import Cohort, Scan
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import CohortError
from lesion_dynamics.model_version import MANIFEST_FILE, ModelVersion
from lesion_dynamics.preprocessing.step_cache import open_cache
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.process_folder import process_folder
from lesion_dynamics.records.lineage import code_folder, git_state, machine
from lesion_dynamics.records.pinned_data import pin_of_cohort
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.promotion import PromoteSettings, ValidationPlace
from lesion_dynamics.source_hash import hash_of_source

_FORMAT = 1
_SOURCE = ("cohort", "imaging", "lesions", "preprocessing", "segmenter")
_REMEDY = "Name its folders: validation.root=... validation.reference_masks=..."


@dataclass(frozen=True)
class ValidationScans:
    """The candidate's validation scans as they lie here.

    as_validated : DVC says that they are the bytes that the candidate was validated on.
    shared : of their participants, those who trained the champion.
    """

    of: str
    cohort: Cohort
    settings: CohortSettings
    scans: tuple[Scan, ...]
    as_validated: bool
    shared: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """A version's record on these scans (`segmenter.evaluation.validation_record`); its file."""

    label: str
    record: Mapping[str, Any]
    path: Path
    scans: ValidationScans

    @property
    def line(self) -> str:
        """For people."""
        learned = len(self.scans.shared)
        people = {scan.participant_id for scan in self.scans.scans}
        known = f"; {learned} of their {len(people)} participants trained the champion"
        return (
            f"{self.label} measured on the {len(self.scans.scans)} validation scans of"
            f" {self.scans.of}{known if learned else ''}: {self.path}"
        )

    def for_the_log(self) -> dict[str, Any]:
        """What an entry of the promotions keeps of it."""
        return {
            "model_version": self.label,
            "on_validation_of": self.scans.of,
            "scans": len(self.scans.scans),
            "trained_the_champion": list(self.scans.shared),
            "record": self.path.name,
            "record_sha256": hash_of_file(self.path),
        }


def validation_scans(
    candidate: ModelVersion, champion: ModelVersion, place: ValidationPlace
) -> ValidationScans:
    """Find every validation scan of the candidate.

    Raises
    ------
    UserError : it is not said where they lie, they cannot be read, or one is not there.
    """
    settings = _cohort_settings(candidate, place)
    segmenter = champion.manifest.segmenter
    cohort = read_cohort(
        settings,
        required_sequences=segmenter.required_sequences,
        optional_sequences=segmenter.optional_sequences,
    )
    wanted = {
        (one["participant_id"], one["session_id"])
        for one in candidate.manifest.validation.get("each") or ()
    }
    scans = tuple(s for s in cohort.scans if s.key in wanted and s.reference_mask is not None)
    if not wanted or len(scans) < len(wanted):
        missing = sorted(wanted - {scan.key for scan in scans})
        first = f", the first: {' '.join(missing[0])}" if missing else ""
        raise CohortError(
            f"{len(missing)} of the {len(wanted)} validation scans of {candidate.label} are not"
            f" here with the sequences that {champion.label} needs{first}",
            where=settings.root,
            remedy=_REMEDY,
        )
    pin = pin_of_cohort(settings.root)
    recorded = (candidate.manifest.training.get("data") or {}).get("dvc_md5")
    sides = champion.manifest.training.get("participants") or {}
    people = {scan.participant_id for scan in scans}
    return ValidationScans(
        of=candidate.label,
        cohort=cohort,
        settings=settings,
        scans=scans,
        as_validated=pin.state == "same" and pin.md5 is not None and pin.md5 == recorded,
        shared=tuple(sorted(people & set(sides.get("training") or ()))),
    )


def _cohort_settings(candidate: ModelVersion, place: ValidationPlace) -> CohortSettings:
    training = candidate.manifest.training
    said = (training.get("configuration") or {}).get("cohort")
    data = training.get("data") or {}
    root, masks = (
        given or (code_folder() / data[key] if data.get(key) else None)
        for given, key in ((place.root, "root"), (place.reference_masks, "reference_masks"))
    )
    if said is None or root is None or (masks is None and said["layout"] == "bids"):
        raise CohortError(
            "its manifest does not say where its validation scans lie",
            where=candidate.label,
            remedy=_REMEDY,
        )
    return CohortSettings.model_validate({**said, "root": root, "reference_masks": masks})


def measured_on(
    scans: ValidationScans, version: ModelVersion, sieve_mm3: float, settings: PromoteSettings
) -> Measured:
    """The version's record on these scans, at its own operating point; computed once and kept.

    sieve_mm3 : lesions below it do not count, in reference and prediction.
    """
    key = _key(scans, version, sieve_mm3)
    folder = settings.tracking.folder.resolve() / "evaluations"
    path = folder / f"{version.folder_name}-{key[:16]}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["format"] == _FORMAT and kept["key"] == key:
            return Measured(version.label, kept["record"], path, scans)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or not whole
    record = _measure(scans, version, sieve_mm3, settings, beside=folder)
    write_json(
        path,
        {
            "format": _FORMAT,
            "key": key,
            "model_version": version.label,
            "weights_sha256": version.manifest.weights_sha256,
            "on_validation_of": scans.of,
            "sieve_mm3": sieve_mm3,
            "record": record,
            "made_on": {"git": git_state(code_folder()), "machine": machine()},
        },
    )
    return Measured(version.label, json.loads(path.read_text("utf-8"))["record"], path, scans)


def _measure(
    scans: ValidationScans,
    version: ModelVersion,
    sieve_mm3: float,
    settings: PromoteSettings,
    *,
    beside: Path,
) -> dict[str, Any]:
    # torch is loaded only where something has to be measured.
    from lesion_dynamics.segmenter.evaluation import probabilities, validation_record
    from lesion_dynamics.segmenter.segmenter import Segmenter

    # As at the end of a training: in torch.
    segmenter = Segmenter.from_model_version(version, engine="torch")
    steps = Steps(open_cache(settings.cache))
    diagnoses = [scans.cohort.diagnosis_of(scan.participant_id) for scan in scans.scans]
    point = version.manifest.operating_point
    with process_folder(beside, "validation") as folder:
        evaluated = probabilities(
            segmenter, scans.scans, scans.settings.prepared, folder=folder, steps=steps
        )
        return validation_record(scans.scans, diagnoses, evaluated, point, sieve_mm3=sieve_mm3)


def _key(scans: ValidationScans, version: ModelVersion, sieve_mm3: float) -> str:
    files = {
        " ".join(scan.key): {
            **{name: hash_of_file(path) for name, path in scan.input_files.items()},
            "reference": None if scan.reference_mask is None else hash_of_file(scan.reference_mask),
        }
        for scan in scans.scans
    }
    return hash_of_content(
        {
            "weights": version.manifest.weights_sha256,
            "manifest": hash_of_file(version.weights.with_name(MANIFEST_FILE)),
            "sieve_mm3": sieve_mm3,
            "files": files,
            "prepared": scans.settings.prepared.model_dump(),
            "source": hash_of_source(*_SOURCE),
        }
    )
