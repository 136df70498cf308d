"""What the lineage of a release says, and why it cannot be followed where it cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesion_dynamics.errors import UserError
from lesion_dynamics.longitudinal.measurements import FILE_NAME
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.records.lineage import machine
from lesion_dynamics.records.lineage_file import LINEAGE_FILE, read_lineage
from lesion_dynamics.settings.reproduction import ReproduceSettings
from lesion_dynamics.source_hash import LIBRARIES

PROVENANCE_FILE = "provenance.json"
_KIND_OF_MACHINE = ("system", "processor", "maker", "instructions", *LIBRARIES)
_AT_REST = ("same", "not cached", None)
"""States of the data in which the pin's hash names what was read; None: a lineage without one."""


class ReproductionError(UserError):
    """A lineage that cannot be followed, or that led to other bytes."""


@dataclass(frozen=True)
class Step:
    """One command of the release: where its code and its data come from, what it was told.

    name : train, infer or analyze. dvc_file : pins the data, below the repository.
    """

    name: str
    commit: str
    dvc_file: str
    dvc_md5: str
    configuration: Mapping[str, Any]
    machine: Mapping[str, Any]


@dataclass(frozen=True)
class Recorded:
    """The steps of a release. inputs : hashes of what the analysis read, by path or name.

    derivatives, results : their folders as below the repository.
    """

    version: ModelVersion
    train: Step
    infer: Step | None = None
    derivatives: Path | None = None
    analyze: Step | None = None
    results: Path | None = None
    inputs: Mapping[str, str] | None = None


def recorded(version: ModelVersion, settings: ReproduceSettings) -> Recorded:
    """The release as its lineage has it.

    Raises
    ------
    ReproductionError : the lineage cannot be followed, and why; nothing was begun.
    """
    train = _training(version)
    if settings.derivatives is None:
        return Recorded(version, train)
    folder = settings.derivatives / version.folder_name
    said = _lineage_of(folder, "derivatives")
    told = said["record"]["settings"].get("configuration")
    if told is None or told["cohort"]["root"] is None:
        raise _cannot("it does not say where in the repository its cohort lay", folder)
    root = train.dvc_file.removesuffix(".dvc")
    if not Path(told["cohort"]["root"]).is_relative_to(root):
        raise _cannot(f"its cohort is not part of {root}, which {train.dvc_file} pins", folder)
    if told["cohort"]["name"] != settings.derivatives.name:
        raise _cannot("it does not lie in a folder of its cohort's name", folder)
    infer = _step("infer", said["made_on"], train.dvc_file, told, folder)
    below = _relative(settings.derivatives)
    if settings.results is None:
        return Recorded(version, train, infer, below)
    analyze, inputs = _analysis(version, settings.results, train.dvc_file)
    results = _relative(settings.results)
    return Recorded(version, train, infer, below, analyze, results, inputs)


def _training(version: ModelVersion) -> Step:
    said, label = version.manifest.training, version.label
    data = said.get("data") or {}
    if not said.get("configuration"):
        raise _cannot("its manifest holds no training: train.py did not make it", label)
    for name, what in (("root", "cohort"), ("reference_masks", "reference masks"), ("file", "pin")):
        if data.get(name) is None:
            raise _cannot(f"its manifest names no {what} within the repository", label)
    cohort = {
        **said["configuration"]["cohort"],
        "root": data["root"],
        "reference_masks": data["reference_masks"],
        "truth": None,
    }
    configuration = {**said["configuration"], "cohort": cohort}
    return _step("train", said, data["file"], configuration, label)


def _analysis(version: ModelVersion, results: Path, dvc_file: str) -> tuple[Step, dict[str, str]]:
    said = _lineage_of(results, "results")
    if version.label not in said["record"]["model_versions"]:
        raise _cannot(f"{version.label} is not part of the study there", results)
    try:
        provenance = json.loads((results / PROVENANCE_FILE).read_text(encoding="utf-8"))
        configuration = provenance["settings"]
    except (OSError, ValueError, KeyError):
        raise _cannot(f"its {PROVENANCE_FILE} cannot be read", results) from None
    step = _step("analyze", said["made_on"], dvc_file, configuration, results)
    return step, dict(said["record"]["inputs"]["sha256"])


def _step(
    name: str,
    said: Mapping[str, Any],
    dvc_file: str,
    configuration: Mapping[str, Any],
    where: str | Path,
) -> Step:
    """One step, if its code, its data and its machine are known and can be had again."""
    git, data, made_on = (said.get(part) or {} for part in ("git", "data", "machine"))
    if git.get("commit") is None:
        raise _cannot(f"{name}: no commit is recorded", where)
    if git.get("modified") is not False:
        raise _cannot(f"{name}: its code had changes that were not committed", where)
    if data.get("dvc_md5") is None:
        raise _cannot(f"{name}: no DVC hash of its data is recorded", where)
    if data.get("state") not in _AT_REST:
        raise _cannot(f"{name}: its data were not those that DVC pinned ({data['state']})", where)
    here = machine()
    for kind in _KIND_OF_MACHINE:
        if kind in made_on and made_on[kind] != here.get(kind):
            what = _difference(kind, made_on[kind], here.get(kind))
            raise _cannot(f"{name} ran on another kind of machine: {what}", where)
    return Step(name, git["commit"], dvc_file, data["dvc_md5"], configuration, made_on)


def _difference(kind: str, there: Any, here: Any) -> str:
    if kind == "instructions":
        own = set(here or ())
        parts = [f"no {one} here" for one in there if one not in own]
        return ", ".join([*parts, *(f"no {one} there" for one in own - set(there))])
    return f"{kind} {there}, here {here}"


def _lineage_of(folder: Path, key: str) -> dict[str, Any]:
    said = read_lineage(folder)
    if said is None:
        raise ReproductionError(
            f"there is no {LINEAGE_FILE}",
            where=folder,
            remedy=f"Name the folder that holds the release's {key}, or {key}=null to leave it"
            " out.",
        )
    return said


def _relative(folder: Path) -> Path:
    here = Path.cwd()
    whole = (here / folder).resolve()
    if not whole.is_relative_to(here):
        raise _cannot("it does not lie below the current folder", folder)
    return whole.relative_to(here)


def _cannot(why: str, where: str | Path) -> ReproductionError:
    return ReproductionError(
        f"this lineage cannot be followed: {why}",
        where=where,
        remedy="Make the release from committed code and pinned data, on this kind of machine.",
    )


def measured_folder(recorded: Recorded) -> Path | None:
    """Where the version's volumes lie, as below the repository."""
    below = recorded.derivatives
    return None if below is None else below / recorded.version.folder_name


def is_table(name: str) -> bool:
    """Whether a hash that the analysis recorded is that of a file, not of a cohort's table."""
    return name.endswith((".tsv", ".json", ".csv")) or Path(name).name == FILE_NAME
