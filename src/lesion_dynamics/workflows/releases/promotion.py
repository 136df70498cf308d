"""Candidate to champion through gates, with a log, and the way back."""

from __future__ import annotations

import getpass
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lesion_dynamics.errors import ModelVersionError, UserError
from lesion_dynamics.longitudinal.release_gates import Gate, gates, refused_gates
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.records.champion import follow
from lesion_dynamics.records.promotion_log import Entry, PromotionLog
from lesion_dynamics.records.registry import champion_number, is_registered, resolve
from lesion_dynamics.records.store import Store, open_store
from lesion_dynamics.report.text_table import text_table
from lesion_dynamics.settings.promotion import PromoteSettings, RollbackSettings
from lesion_dynamics.workflows.releases.evidence import Weighed, study_tables, weigh

_LOG = logging.getLogger(__name__)
_NAMES = {
    "lesion_f1": "lesion F1",
    "dice": "Dice",
    "volume_bias": "volume bias",
    "detectable_change": "smallest detectable change",
    "study_verdict": "study verdict",
}


@dataclass(frozen=True)
class Assessment:
    """A candidate before the gates.

    champion, entries : those of that moment. weighed : their figures.
    """

    candidate: ModelVersion
    champion: ModelVersion | None
    entries: int
    table: tuple[Gate, ...]
    refused: tuple[Gate, ...]
    weighed: Weighed | None = None


def promote(settings: PromoteSettings) -> Entry:
    """Assess, show the table, and make the candidate the champion; the log's entry.

    Raises
    ------
    ModelVersionError : a gate is not passed and ``force`` is not set; it is the champion already;
        or somebody else promoted meanwhile.
    """
    assessment = assess(settings)
    for line in gate_table(assessment).splitlines():
        _LOG.info("%s", line)
    return commit(assessment, settings)


def assess(settings: PromoteSettings) -> Assessment:
    """The gate table of the candidate against the champion of now; nothing is changed."""
    candidate = resolve(settings.model_version, settings.tracking)
    store = open_store(settings.tracking)
    if not is_registered(store, candidate):
        raise ModelVersionError(
            "the registry does not hold this model version",
            where=candidate.label,
            remedy="Import it (lesion-dynamics export, import), or name one that is registered.",
        )
    entries = len(PromotionLog(store, candidate.name, settings.tracking).entries())
    number = champion_number(store, candidate.name)
    if number is None:
        return Assessment(candidate, None, entries, (), ())
    champion = resolve(f"{candidate.name}/{number}", settings.tracking)
    if number == candidate.number:
        raise ModelVersionError(
            "this is the champion already",
            where=candidate.label,
            remedy="Name another model version.",
        )
    verdicts, changes = study_tables(settings.results)
    weighed = weigh(candidate, champion, changes, settings)
    table = gates(weighed.candidate, weighed.champion, verdicts, settings.promotion)
    refused = tuple(refused_gates(table, settings.promotion))
    return Assessment(candidate, champion, entries, tuple(table), refused, weighed)


def commit(assessment: Assessment, settings: PromoteSettings) -> Entry:
    """Record and promote, if nobody else did since `assess`."""
    candidate, champion = assessment.candidate, assessment.champion
    if assessment.refused and not settings.force:
        raise _refusal(assessment)
    store = open_store(settings.tracking)
    log = PromotionLog(store, candidate.name, settings.tracking)
    with log.locked():
        follow(store, log, candidate.name)  # a log that was changed is not gone on with
        now = champion_number(store, candidate.name)
        if now != (None if champion is None else champion.number):
            raise ModelVersionError(
                f"somebody promoted {candidate.name}/{now} meanwhile; this promotion is not done",
                where=candidate.label,
                remedy="Start the command again to be assessed against the new champion.",
            )
        entry = log.append(
            {
                **_entry("promote", settings.who, settings.reason),
                "from": None if champion is None else champion.label,
                "to": candidate.label,
                "to_weights_sha256": candidate.manifest.weights_sha256,
                "forced": bool(assessment.refused),
                "gates": [_as_json(gate) for gate in assessment.table],
                "measured_again": _measured_again(assessment),
            },
            after=assessment.entries,
        )
        _move(store, log, entry)
    _say(entry, log)
    return entry


def rollback(settings: RollbackSettings) -> Entry:
    """Make the champion of before the champion again; the log's entry.

    Raises
    ------
    ModelVersionError : the log knows no champion before this one.
    """
    store = open_store(settings.tracking)
    log = PromotionLog(store, settings.name, settings.tracking)
    with log.locked():
        follow(store, log, settings.name)
        entries = log.entries()
        now = champion_number(store, settings.name)
        label = f"{settings.name}/{now}"
        before = champion_before(entries, label)
        if now is None or before is None:
            raise ModelVersionError(
                "the log of promotions knows no champion before this one",
                where="no champion" if now is None else label,
                remedy="Promote the version you want: lesion-dynamics promote model_version=...",
            )
        version = resolve(before, settings.tracking)  # its bytes are still what they were
        entry = log.append(
            {
                **_entry("rollback", settings.who, settings.reason),
                "from": label,
                "to": version.label,
                "to_weights_sha256": version.manifest.weights_sha256,
                "forced": False,
                "gates": [],
            },
            after=len(entries),
        )
        _move(store, log, entry)
    _say(entry, log)
    return entry


def champion_before(entries: Sequence[Entry], champion: str) -> str | None:
    """The label under ``champion`` on the pile of champions; a rollback takes one off."""
    pile: list[str] = []
    before: list[str] = []
    for entry in entries:
        if entry["action"] == "withdraw":
            pile = before
            continue
        before = list(pile)
        if entry["action"] == "rollback":
            pile = pile[:-1]
        else:
            if entry["from"] is not None and entry["from"] != (pile[-1] if pile else None):
                pile.append(entry["from"])  # set by hand, between two promotions
            pile.append(entry["to"])
    return pile[-2] if len(pile) > 1 and pile[-1] == champion else None


def gate_table(assessment: Assessment) -> str:
    """The printed table."""
    if assessment.champion is None:
        return f"{assessment.candidate.label}: no champion yet, nothing to compare with."
    rows = [
        (
            f"{_NAMES[gate.name]}, {gate.diagnosis}",
            _figure(gate.candidate),
            _figure(gate.champion),
            _figure(gate.limit),
            gate.outcome,
            gate.note,
        )
        for gate in assessment.table
    ]
    columns = ("gate", assessment.candidate.label, assessment.champion.label, "limit", "", "note")
    return text_table(columns, rows, words=(0, 4, 5))


def _refusal(assessment: Assessment) -> ModelVersionError:
    champion = assessment.champion
    assert champion is not None, "without a champion no gate is refused"
    first, sides = assessment.refused[0], (assessment.candidate, champion)
    named = f"{_NAMES[first.name]}, {first.diagnosis}: {first.outcome}"
    if first.note:
        named += f" ({first.note})"
    remedy = "Improve the candidate"
    if assessment.weighed is not None and assessment.weighed.unavailable:
        remedy = (
            "Name the folders of the candidate's validation scans (validation.root=..."
            " validation.reference_masks=...), so that the champion is measured on them"
        )
    elif first.name == "study_verdict":
        remedy = "Run infer.py with both versions, then analyze.py"
    return ModelVersionError(
        f"{len(assessment.refused)} gate(s) not passed, the first: {named}",
        where=f"{sides[0].label} against {sides[1].label}",
        remedy=f"{remedy}; or state force=true reason=..., which is recorded.",
    )


def _move(store: Store, log: PromotionLog, entry: Entry) -> None:
    """Let the alias follow the log; where it cannot, the log says that too."""
    try:
        follow(store, log, str(entry["to"]).rpartition("/")[0])
    except UserError as error:
        why = f"entry {entry['entry']} was not carried out: {error.what}"
        undone = {"from": entry["to"], "to": entry["from"], "forced": False, "gates": []}
        withdrawn = {**_entry("withdraw", entry["who"], why), **undone}
        try:
            log.append(withdrawn, after=int(entry["entry"]))
        except Exception:  # noqa: BLE001  what is told is why it was not carried out
            _LOG.warning("the next promotion or rollback carries entry %s out", entry["entry"])
        raise


def _measured_again(assessment: Assessment) -> list[dict[str, Any]]:
    weighed = assessment.weighed
    return [] if weighed is None else [dict(one) for one in weighed.measured_again]


def _entry(action: str, who: str | None, reason: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"action": action, "who": who or getpass.getuser(), "when": now, "reason": reason}


def _as_json(gate: Gate) -> dict[str, Any]:
    figures = {"candidate": gate.candidate, "champion": gate.champion, "limit": gate.limit}
    known = {name: round(value, 6) for name, value in figures.items() if math.isfinite(value)}
    return {"gate": gate.name, "diagnosis": gate.diagnosis, "outcome": gate.outcome, **known}


def _figure(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"


def _say(entry: Entry, log: PromotionLog) -> None:
    _LOG.info(
        "%s is the champion (before: %s)%s; entry %s of %s",
        entry["to"],
        entry["from"] or "none",
        ", by force" if entry["forced"] else "",
        entry["entry"],
        log.path,
    )
