"""The lineage that inference and analysis leave in their folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lesion_dynamics.atomic_files import hash_of_content
from lesion_dynamics.combined_version import members_of, tta_of
from lesion_dynamics.longitudinal.measurements import FILE_NAME
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.records.lineage_file import of_model_version, write_lineage
from lesion_dynamics.records.outside_version import read_outside_version
from lesion_dynamics.workflows.lineage.derived import Sources

INFERENCE_SOURCE = (
    "cohort", "imaging", "lesions", "preprocessing", "quality", "records/derivatives", "segmenter",
)  # fmt: skip
ANALYSIS_SOURCE = (
    "cohort", "longitudinal", "report", "workflows/analysis", "workflows/analysis_inputs",
    "workflows/analysis_outputs", "workflows/analysis_text",
)  # fmt: skip


def write_inference_lineage(
    folder: Path,
    version: ModelVersion,
    *,
    input_hashes: Mapping[str, Any],
    settings: Mapping[str, Any],
    cohort_root: Path | None = None,
    threads: int = 1,
    sidecars: Iterable[Path] = (),
    engines: Iterable[str] = (),
) -> None:
    """``lineage.json`` of a derivatives folder; of an ensemble with all its members.

    input_hashes : of every scan, as its sidecar has them; one hash over all is kept here.
    threads : of each process. sidecars : of the masks, which say what ran the network.
    engines : of masks that lie elsewhere.
    """
    write_lineage(
        folder,
        command="infer.py",
        source=INFERENCE_SOURCE,
        inputs={"scans": len(input_hashes), "scans_sha256": hash_of_content(dict(input_hashes))},
        settings={
            **settings,
            "model_version": version.label,
            "tta": tta_of(version),
            "mode": version.mode,
            "engines": sorted({*engines_of(sidecars), *engines}),
        },
        model_versions={one.label: of_model_version(one) for one in members_of(version)},
        outputs={FILE_NAME: folder / FILE_NAME},
        cohort_root=cohort_root,
        made_with={"threads_per_process": threads},
    )


def engines_of(sidecars: Iterable[Path]) -> list[str]:
    """Those of the scans that are there, each once."""
    found = set()
    for path in sidecars:
        try:
            found.add(str(json.loads(path.read_text(encoding="utf-8"))["Engine"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a scan that failed, or of before engines were noted
    return sorted(found)


def write_analysis_lineage(
    folder: Path,
    *,
    measurements: Mapping[str, Path],
    inputs: Mapping[str, str],
    settings: Mapping[str, Any],
    outputs: Mapping[str, Path],
    cohort_root: Path | None = None,
) -> None:
    """``lineage.json`` of a results folder: with that of every folder of measurements in it.

    measurements : path of each table, by the name it has in ``inputs``.
    """
    found = Sources()
    for name, path in measurements.items():
        if path.name == FILE_NAME:
            found.add(name, path.parent)
        elif (outside := read_outside_version(path.parent)) is not None:
            tool = {"tool": outside.tool, "tool_version": outside.tool_version}
            found.model_versions[outside.label] = tool
    write_lineage(
        folder,
        command="analyze.py",
        source=ANALYSIS_SOURCE,
        inputs={"sha256": dict(inputs), "derivatives": found.made},
        settings=settings,
        model_versions=found.model_versions,
        outputs=outputs,
        cohort_root=cohort_root,
    )
