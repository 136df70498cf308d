"""A release from its lineage: clone, train, infer, analyze, compare."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lesion_dynamics.atomic_files import require_writable_folder, write_json
from lesion_dynamics.errors import OutputError
from lesion_dynamics.file_locks import LOCK_FILE
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.output_lock import sole_writer
from lesion_dynamics.records.lineage import machine
from lesion_dynamics.records.registry import resolve
from lesion_dynamics.report.text_table import text_table
from lesion_dynamics.settings.reproduction import ReproduceSettings
from lesion_dynamics.workflows.reproduction import rerun
from lesion_dynamics.workflows.reproduction.clone import bring_to, cache_of, clone
from lesion_dynamics.workflows.reproduction.compared import (
    Pair,
    measured_pairs,
    study_pairs,
    weights_pairs,
)
from lesion_dynamics.workflows.reproduction.recorded import (
    Recorded,
    ReproductionError,
    Step,
    recorded,
)

_LOG = logging.getLogger(__name__)
RECORD_FILE = "reproduction.json"
CLONE = "clone"
_SHOWN = 12


@dataclass(frozen=True)
class Reproduction:
    """pairs : every file of the release beside what it is now. taken : what the study took over
    from other versions as it was. seconds : of each step.
    """

    model_version: str
    pairs: tuple[Pair, ...]
    taken: tuple[str, ...]
    seconds: dict[str, float]

    @property
    def same(self) -> bool:
        """Whether every byte is the same."""
        return all(pair.same for pair in self.pairs)


def run(settings: ReproduceSettings) -> Reproduction:
    """Make the release again and compare; everything is in ``into`` in any case.

    Raises
    ------
    UserError : the lineage cannot be followed, and why; or it led to other bytes.
    """
    version = resolve(settings.model_version, settings.tracking)
    plan = recorded(version, settings)
    starts = _starts(version, settings)
    require_writable_folder(settings.into)
    with sole_writer(settings.into):
        _claim(settings.into, version)
        done = _run(plan, starts, settings)
        _write(settings.into, version, plan, done)
    for line in _table(done).splitlines():
        _LOG.info("%s", line)
    if not done.same:
        first = next(pair for pair in done.pairs if not pair.same)
        raise ReproductionError(
            f"{sum(not pair.same for pair in done.pairs)} of {len(done.pairs)} files differ from"
            f" the release, the first: {first.kind} {first.name}",
            where=settings.into / RECORD_FILE,
            remedy="Compare there; another training key means other code, data or libraries.",
        )
    _LOG.info("%s made again: all %d files are the same bytes", version.label, len(done.pairs))
    return done


def _run(
    plan: Recorded, starts: dict[str, ModelVersion], settings: ReproduceSettings
) -> Reproduction:
    # Absolute: the scripts are started in the clone.
    place = settings.into.resolve() / CLONE
    clone(settings.repository, place)
    cache = cache_of(settings.repository)
    seconds: dict[str, float] = {}

    def begin(step: Step) -> float:
        _LOG.info("%s again, from commit %s and data %s", step.name, step.commit, step.dvc_md5)
        bring_to(place, step, cache=cache)
        return time.monotonic()

    begun = begin(plan.train)
    pairs = weights_pairs(plan, rerun.train(place, plan.train, starts))
    seconds["train"] = round(time.monotonic() - begun, 1)
    taken: list[str] = []
    if plan.infer is not None:
        begun = begin(plan.infer)
        pairs += measured_pairs(plan, rerun.infer(place, plan, plan.infer))
        seconds["infer"] = round(time.monotonic() - begun, 1)
    if plan.analyze is not None and plan.results is not None:
        begun = begin(plan.analyze)
        taken = rerun.analyze(place, plan, plan.analyze)
        pairs += study_pairs(plan, place / plan.results)
        seconds["analyze"] = round(time.monotonic() - begun, 1)
    return Reproduction(plan.version.label, tuple(pairs), tuple(taken), seconds)


def _starts(version: ModelVersion, settings: ReproduceSettings) -> dict[str, ModelVersion]:
    """The versions that the training named, by the key that named them."""
    training = version.manifest.training
    starts: dict[str, ModelVersion] = {}
    initial = training.get("initial_model_version")
    if initial is not None:
        found = resolve(initial["label"], settings.tracking)
        if found.manifest.weights_sha256 != initial["weights_sha256"]:
            raise ReproductionError(
                f"{initial['label']}, which the training began from, has other weights here",
                where=version.label,
                remedy="Name the registry that the release was trained with.",
            )
        starts["initial_model_version"] = found
    if training["configuration"].get("split_from") is not None:
        starts["split_from"] = version  # whose manifest holds the very split
    return starts


def _claim(into: Path, version: ModelVersion) -> None:
    """Take an empty folder, or one in which this very reproduction was begun."""
    record = into / RECORD_FILE
    own = {"model_version": version.label, "weights_sha256": version.manifest.weights_sha256}
    if record.is_file():
        said = json.loads(record.read_text(encoding="utf-8"))
        if {key: said.get(key) for key in own} == own:
            return
    elif not [path for path in into.iterdir() if path.name != LOCK_FILE]:
        write_json(record, {**own, "state": "begun"})
        return
    raise OutputError(
        "this folder holds something else",
        where=into,
        remedy="Name a new folder: into=...",
    )


def _write(into: Path, version: ModelVersion, plan: Recorded, done: Reproduction) -> None:
    steps = [step for step in (plan.train, plan.infer, plan.analyze) if step is not None]
    write_json(
        into / RECORD_FILE,
        {
            "model_version": version.label,
            "weights_sha256": version.manifest.weights_sha256,
            "state": "same" if done.same else "different",
            "files": [{**asdict(pair), "same": pair.same} for pair in done.pairs],
            "steps": {
                step.name: {"commit": step.commit, "data": step.dvc_md5, "made_on": step.machine}
                for step in steps
            },
            "seconds": done.seconds,
            "taken_as_they_were": list(done.taken),
            "machine": machine(),
        },
    )


def _table(done: Reproduction) -> str:
    """A line a file; masks and pictures that are the same are counted, not listed."""
    listed = [p for p in done.pairs if p.kind not in ("mask", "study") or not p.same]
    rows: list[tuple[str, ...]] = [
        (p.kind, p.name, p.first[:_SHOWN], (p.second or "not made")[:_SHOWN], _word(p.same))
        for p in listed
    ]
    rows += _counted(done.pairs, "mask") + _counted(done.pairs, "study")
    return text_table(("", "file", "release", "again", ""), rows, words=(0, 1, 2, 3, 4))


def _counted(pairs: Sequence[Pair], kind: str) -> list[tuple[str, ...]]:
    own = [pair for pair in pairs if pair.kind == kind]
    same = sum(pair.same for pair in own)
    return [(kind, f"{same} of {len(own)} the same", "", "", "")] if own else []


def _word(same: bool) -> str:
    return "same" if same else "DIFFERENT"
