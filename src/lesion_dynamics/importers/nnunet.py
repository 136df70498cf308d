"""A raw dataset of nnU-Net v2 (``nnUNet_raw/DatasetXXX_Name``).

Documented: github.com/MIC-DKFZ/nnUNet, documentation/reference/dataset-format.md (v2)::

    Dataset001_X/dataset.json            channel_names, labels, file_ending
    Dataset001_X/imagesTr/CASE_0000.nii.gz   one file a channel, four digits
    Dataset001_X/labelsTr/CASE.nii.gz        whole numbers, one a label
    Dataset001_X/imagesTs/CASE_0000.nii.gz   test cases; labelsTs is a habit, not in the format

All channels of a case share one grid (the format demands it). The format knows neither people nor
visits: a case is a participant with one session unless a pattern with the groups ``participant``
and ``session`` takes its identifier apart. It knows no diagnosis, no age and no preparation
either: they are options or ``n/a``. Our readings are the names of sequences in
`CHANNEL_NAMES`, and that a label called "ignore" marks voxels nobody judged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lesion_dynamics.errors import CohortError, ConfigurationError
from lesion_dynamics.importers.imported_cohort import (
    UNDATED_RULE,
    ConvertedMask,
    Dataset,
    Diagnosis,
    ImportedCohort,
    ImportedScan,
    LeftOut,
)
from lesion_dynamics.importers.upstream_files import (
    natural_order,
    not_this_dataset,
    participant_id_of,
    session_id_of,
)
from lesion_dynamics.settings.cohort import Prepared

CHANNEL_NAMES: Mapping[str, str] = {
    "flair": "FLAIR", "t2flair": "FLAIR", "t2wflair": "FLAIR",
    "t1": "T1w", "t1w": "T1w", "t1n": "T1w", "mprage": "T1w", "mpr": "T1w",
    "t2": "T2w", "t2w": "T2w", "pd": "PDw", "pdw": "PDw",
}  # fmt: skip
"""Sequence of a channel name in lower case without punctuation; others are not read."""

WHOLE_CASE = "(?P<participant>.+)"
_CHANNEL = re.compile(r"(.+)_([0-9]{4})", re.ASCII)
_PARTS = (("imagesTr", "labelsTr"), ("imagesTs", "labelsTs"))


@dataclass(frozen=True, slots=True)
class _Format:
    """What dataset.json says. lesion_labels : None where no reference mask can be made."""

    name: str
    channels: Mapping[str, str]
    ending: str
    lesion_labels: tuple[int, ...] | None
    only_label: bool
    mask_rule: str
    licence: str
    citation: str


def read(
    root: Path,
    *,
    case_id: str = WHOLE_CASE,
    lesion_label: str | None = None,
    diagnosis: Diagnosis = "MS",
    skull_stripped: bool = False,
    bias_corrected: bool = False,
) -> ImportedCohort:
    """Read one ``DatasetXXX_Name`` folder.

    Parameters
    ----------
    case_id : regular expression for the whole case identifier, with the group ``participant``
        and, where there are visits, ``session``.
    lesion_label : name of the label that is lesion; None: the only one besides background.
    diagnosis, skull_stripped, bias_corrected : of all cases; the format does not say.

    Raises
    ------
    CohortError : no such dataset, or one without FLAIR or in another file format.
    ConfigurationError : a pattern or label that does not fit.
    """
    pattern = _pattern(case_id)
    form = _format(root, lesion_label)
    prepared = Prepared(
        skull_stripped=skull_stripped, sequences_aligned=True, bias_corrected=bias_corrected
    )
    scans: list[ImportedScan] = []
    left_out: list[LeftOut] = []
    for images_name, labels_name in _PARTS:
        for case, images in _cases(root / images_name, form).items():
            participant_id, session_id = _ids(case, pattern)
            if "FLAIR" not in images:
                reason = f"no FLAIR of {case} in {images_name}"
                left_out.append(LeftOut(participant_id, session_id, reason))
                continue
            mask = _mask(root / labels_name / f"{case}{form.ending}", form)
            scans.append(
                ImportedScan(
                    participant_id, session_id, images, None, prepared, mask, diagnosis=diagnosis
                )
            )
    if not scans:
        raise not_this_dataset("an nnU-Net dataset", root, f"imagesTr/CASE_0000{form.ending}")
    return ImportedCohort(_dataset(form, diagnosis), _dated(scans), left_out=tuple(left_out))


def _pattern(case_id: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(case_id)
    except re.error as error:
        raise ConfigurationError(
            f"not a regular expression ({error})", where="--case-id", remedy="Correct it."
        ) from None
    if "participant" not in pattern.groupindex:
        raise ConfigurationError(
            "the pattern names no participant",
            where="--case-id",
            remedy="For MS01_v2 write '(?P<participant>.+)_v(?P<session>[0-9]+)'.",
        )
    return pattern


def _ids(case: str, pattern: re.Pattern[str]) -> tuple[str, str]:
    match = pattern.fullmatch(case)
    if match is None:
        raise ConfigurationError(
            f"the case {case} does not fit the pattern {pattern.pattern}",
            where="--case-id",
            remedy="The pattern must fit every whole case identifier.",
        )
    session = match.groupdict("1").get("session", "1")
    return participant_id_of(match["participant"]), session_id_of(session)


def _dated(scans: list[ImportedScan]) -> tuple[ImportedScan, ...]:
    """Ordered as people count; the first session of each participant is day 0."""
    ordered = sorted(
        scans, key=lambda s: (natural_order(s.participant_id), natural_order(s.session_id))
    )
    seen: set[str] = set()
    dated = []
    for scan in ordered:
        dated.append(scan if scan.participant_id in seen else replace(scan, days=0.0))
        seen.add(scan.participant_id)
    return tuple(dated)


def _cases(folder: Path, form: _Format) -> dict[str, dict[str, Path]]:
    cases: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = _CHANNEL.fullmatch(path.name.removesuffix(form.ending))
        if match is None or not path.name.endswith(form.ending):
            continue
        images = cases.setdefault(match[1], {})
        sequence = form.channels.get(match[2])
        if sequence is not None:
            images[sequence] = path
    return cases


def _mask(path: Path, form: _Format) -> Path | ConvertedMask | None:
    if form.lesion_labels is None or not path.is_file():
        return None
    return path if form.only_label else ConvertedMask((path,), labels=form.lesion_labels)


def _format(root: Path, lesion_label: str | None) -> _Format:
    path = root / "dataset.json"
    if not path.is_file():
        raise not_this_dataset("an nnU-Net dataset", root, "dataset.json")
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names = {str(int(key)).zfill(4): str(name) for key, name in said["channel_names"].items()}
        labels = dict(said["labels"])
        ending = str(said["file_ending"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CohortError(
            f"this is no dataset.json of nnU-Net v2 ({type(error).__name__}: {error})",
            where=path,
            remedy="Convert a version 1 dataset with nnUNetv2_convert_old_nnUNet_dataset.",
        ) from None
    if ending not in (".nii.gz", ".nii"):
        raise CohortError(
            f"its files are {ending}, not NIfTI",
            where=path,
            remedy="Convert images and labels to .nii.gz and write that into file_ending.",
        )
    channels = _sequences(names, path)
    values, only, rule = _lesion_labels(labels, lesion_label, path)
    return _Format(
        name=str(said.get("name", root.name)),
        channels=channels,
        ending=ending,
        lesion_labels=values,
        only_label=only,
        mask_rule=rule,
        licence=str(said.get("licence") or said.get("license") or "not stated in dataset.json"),
        citation=str(said.get("citation") or said.get("reference") or "not stated in dataset.json"),
    )


def _sequences(names: Mapping[str, str], path: Path) -> dict[str, str]:
    channels: dict[str, str] = {}
    for number, name in names.items():
        sequence = CHANNEL_NAMES.get(re.sub(r"[^a-z0-9]", "", name.lower()))
        if sequence is not None and sequence in channels.values():
            raise CohortError(
                f"two channels are {sequence}: {', '.join(names.values())}",
                where=path,
                remedy="Rename the one that is not to be read in channel_names.",
            )
        if sequence is not None:
            channels[number] = sequence
    if "FLAIR" not in channels.values():
        raise CohortError(
            f"no channel is called FLAIR (channel_names: {', '.join(names.values())})",
            where=path,
            remedy="Name the FLAIR channel so in channel_names; a cohort needs one.",
        )
    return channels


def _lesion_labels(
    labels: Mapping[str, Any], wanted: str | None, path: Path
) -> tuple[tuple[int, ...] | None, bool, str]:
    """Values that are lesion, whether upstream's file can be used as it is, and the rule."""
    foreground = {n: v for n, v in labels.items() if n not in ("background", "ignore")}
    if "ignore" in labels:
        return (
            None,
            False,
            (
                "No reference masks: the dataset has a label ignore, voxels nobody judged, which a"
                " mask of 0 and 1 would call healthy."
            ),
        )
    if wanted is None and len(foreground) != 1:
        raise ConfigurationError(
            f"the dataset has {len(foreground)} labels: {', '.join(foreground) or 'none'}",
            where=path,
            remedy="Say which one is lesion: --lesion-label NAME.",
        )
    name = next(iter(foreground)) if wanted is None else wanted
    if name not in foreground:
        raise ConfigurationError(
            f"the dataset has no label {name} (it has {', '.join(foreground)})",
            where=path,
            remedy="Name one of them with --lesion-label.",
        )
    value = foreground[name]
    values = tuple(int(v) for v in value) if isinstance(value, list) else (int(value),)
    only = len(foreground) == 1 and len(values) == 1
    written = "as upstream has it" if only else "written anew"
    return values, only, f"Reference mask: label {name} ({', '.join(map(str, values))}), {written}."


def _dataset(form: _Format, diagnosis: Diagnosis) -> Dataset:
    used = ", ".join(f"{number} is {name}" for number, name in form.channels.items())
    return Dataset(
        name=f"nnU-Net dataset {form.name}",
        licence=form.licence,
        citation=form.citation,
        homepage="not stated by the format",
        layout_sources=(
            "https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/reference/dataset-format.md",
        ),
        rules=(
            f"Everyone counts as {diagnosis}. Age, sex and scanner are n/a: not in the format.",
            UNDATED_RULE,
            f"Channels: {used}; the others are not read. All channels of a case are aligned.",
            form.mask_rule,
        ),
        session_alignment="rigid",
    )
