"""The chain as text: a line a step, what belongs to it below."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lesion_dynamics.errors import printable
from lesion_dynamics.settings.lineage import LineageSettings
from lesion_dynamics.workflows.lineage.chain import Step, chain

_UNKNOWN = "not recorded"


def run(settings: LineageSettings) -> list[Step]:
    """Show the chain behind ``path``.

    Raises
    ------
    UserError : nothing says where it comes from.
    """
    steps = chain(Path(settings.path))
    if settings.as_json:
        sys.stdout.write(json.dumps(steps, indent=2, sort_keys=True) + "\n")
    else:
        sys.stdout.write(as_text(steps) + "\n")
    return steps


def as_text(steps: Sequence[Step]) -> str:
    """Lines; hashes cut to 12 digits (``as_json=true`` has them whole)."""
    lines: list[str] = []
    for step in steps:
        head, details = _SAID[step["step"]](step)
        lines.append(printable(head))
        lines += [f"  {printable(detail)}" for detail in details if detail]
    return "\n".join(lines)


def _file(step: Step) -> tuple[str, list[str]]:
    return f"{step['name']}: SHA-256 {_short(step['sha256'])}, {step['state']}", []


def _scan(step: Step) -> tuple[str, list[str]]:
    files = ", ".join(f"{k} {_short(v)}" for k, v in step["inputs_sha256"].items())
    head = f"segmented by {step['model_version']}, weights {_short(step['weights_sha256'])}"
    return head, [f"from {files}", _point(step["operating_point"])]


def _correction(step: Step) -> tuple[str, list[str]]:
    head = f"corrected by {step['corrected_by']} on {step['corrected_on']}"
    return head, [
        f"from the mask of {step['model_version']}, weights {_short(step['weights_sha256'])}",
        *(f"for {source}" for source in step["sources"]),
    ]


def _outside(step: Step) -> tuple[str, list[str]]:
    return f"{step['label']}: masks of {step['tool']} {step['tool_version']}", []


def _analysis(step: Step) -> tuple[str, list[str]]:
    tables = [f"from {name}: {_short(sha)}" for name, sha in step["inputs_sha256"].items()]
    return f"made by {step['command']} into {step['folder']}", [*_made(step), *tables]


def _inference(step: Step) -> tuple[str, list[str]]:
    head = f"made by {step['command']} into {step['folder']}"
    settings = step.get("settings", {})
    engines = ", ".join(settings.get("engines", []))
    return head, [
        *_made(step),
        f"by {settings['model_version']}" if "model_version" in settings else "",
        f"networks run by {engines}" if engines else "",
        f"from {step['scans']} scans: {_short(step['scans_sha256'])}",
    ]


def _version(step: Step) -> tuple[str, list[str]]:
    origin = step.get("origin")
    return f"model version {step['label']}: weights {_short(step['weights_sha256'])}", [
        f"manifest {_short(step['manifest_sha256'])}, run {step['run_id'] or _UNKNOWN}",
        _point(step["operating_point"]),
        f"imported; there it was {origin['model_version']}, run {origin['run_id']}"
        if origin
        else "",
    ]


def _training(step: Step) -> tuple[str, list[str]]:
    initial = step.get("initial_model_version")
    return f"trained on cohort {step.get('cohort', _UNKNOWN)}", [
        f"key {_short(step.get('key'))}, configuration {_short(step['configuration_sha256'])}",
        f"fold {step['fold']} validated" if step.get("fold") else "",
        *_where(step),
        *_started_from(initial),
    ]


def _started_from(initial: Any) -> list[str]:
    """The version whose weights a training started from, the one before that, and so on."""
    if not isinstance(initial, Mapping):
        return []
    own = f"started from {initial['label']}, weights {_short(initial['weights_sha256'])}"
    if initial.get("training_key"):
        own += f", training {_short(initial['training_key'])}"
    return [own, *_started_from(initial.get("initial_model_version"))]


def _made(step: Step) -> list[str]:
    software = step.get("software", "")
    return [f"code {_short(step['source_sha256'])} {software}".rstrip(), *_where(step)]


def _where(step: Step) -> list[str]:
    git, data = step.get("git") or {}, step.get("data") or {}
    commit = git.get("commit") or _UNKNOWN
    changed = " with changes that were not committed" if git.get("modified") else ""
    doubt = f" ({data['state']} then)" if data.get("state") in ("modified", "deleted") else ""
    machine = step.get("machine") or {}
    kind = ", ".join(f"{k} {machine[k]}" for k in ("system", "processor", "python") if k in machine)
    return [
        f"commit {commit}{changed}",
        # Empty: the command read no cohort, only what others had made of one.
        "" if step.get("data") == {} else f"data {data.get('dvc_md5') or _UNKNOWN}{doubt}",
        f"machine {kind or _UNKNOWN}",
    ]


def _point(point: Any) -> str:
    if not isinstance(point, Mapping):
        return ""
    return "operating point " + ", ".join(f"{k} {v}" for k, v in point.items())


def _short(sha: Any) -> str:
    return str(sha)[:12] if sha else _UNKNOWN


_SAID = {
    "file": _file,
    "scan": _scan,
    "correction": _correction,
    "outside": _outside,
    "analysis": _analysis,
    "inference": _inference,
    "model version": _version,
    "training": _training,
}
