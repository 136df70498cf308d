"""The lineage of what is made from folders that have one: followed lesions, maps, pages, tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lesion_dynamics.atomic_files import hash_of_file
from lesion_dynamics.longitudinal.measurements import FILE_NAME
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.records.lineage_file import (
    LINEAGE_FILE,
    is_lineage,
    of_model_version,
    read_lineage,
    write_lineage,
)
from lesion_dynamics.records.outside_version import read_outside_version
from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.workflows.analysis_inputs import portable


@dataclasses.dataclass
class Sources:
    """What folders were made from: their model versions, and each folder's own lineage.

    made : by the folder's or table's name.
    """

    model_versions: dict[str, Any] = dataclasses.field(default_factory=dict)
    made: dict[str, Any] = dataclasses.field(default_factory=dict)

    def add(self, name: str, folder: Path) -> None:
        """Take in what ``folder`` says of itself; nothing where it says nothing.

        Raises
        ------
        LineageError : its lineage cannot be read.
        """
        said = read_lineage(folder)
        if said is not None:
            record = said["record"]
            self.model_versions |= record["model_versions"]
            self.made[name] = {
                "command": record["command"],
                "lineage_sha256": hash_of_file(folder / LINEAGE_FILE),
                "inputs": record["inputs"],
                "source_sha256": record["source_sha256"],
                "made_on": said["made_on"],
            }
            return
        outside = read_outside_version(folder)
        if outside is not None:
            tool = {"tool": outside.tool, "tool_version": outside.tool_version}
            self.model_versions[outside.label] = tool


def write_derived_lineage(
    folder: Path,
    *,
    command: str,
    source: tuple[str, ...],
    outputs: Iterable[Path],
    settings: Strict | None = None,
    made_from: Sequence[Path] = (),
    inputs: Mapping[str, str] | None = None,
    versions: Sequence[ModelVersion] = (),
    outside: Mapping[str, Any] | None = None,
    cohort_root: Path | None = None,
    file: str = LINEAGE_FILE,
) -> None:
    """Say in ``folder`` what these outputs were made from.

    command : of ``lesion-dynamics``. outputs : files below ``folder``; those that are there.
    settings : of the command; its places are left out. made_from : folders that an inference,
    an analysis or a command like this one wrote. inputs : hashes of further inputs, by name.
    versions : that this very command applied. outside : what stands behind versions of other
    tools, by label. file : where the folder has a lineage of its own.
    """
    found = Sources()
    hashes = dict(inputs or {})
    for place in made_from:
        found.add(portable(place), place)
        if (place / FILE_NAME).is_file():
            hashes[portable(place / FILE_NAME)] = hash_of_file(place / FILE_NAME)
    own = {one.label: of_model_version(one) for one in versions}
    write_lineage(
        folder,
        command=f"lesion-dynamics {command}",
        source=source,
        inputs={"sha256": hashes, "derivatives": found.made},
        settings={} if settings is None else without_places(settings),
        model_versions=found.model_versions | own | dict(outside or {}),
        outputs={one.relative_to(folder).as_posix(): one for one in outputs if one.is_file()},
        cohort_root=cohort_root,
        file=file,
    )


def every_file(folder: Path) -> list[Path]:
    """All files below ``folder`` but lineages and hidden ones."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and not is_lineage(path)
    ]


def without_places(settings: Strict) -> dict[str, Any]:
    """The settings as JSON, every path cut to what means the same elsewhere."""
    kept = {
        name: getattr(settings, name)
        for name in type(settings).model_fields
        if name not in {"tracking", "cache", "executor", "processes", "output"}
    }
    plain: dict[str, Any] = _plain(kept)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Path) or (isinstance(value, str) and value.startswith("/")):
        return portable(Path(value))
    if isinstance(value, Strict):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(name): _plain(own) for name, own in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one) for one in value]
    return value
