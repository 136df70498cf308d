"""A cohort in an object store, worked on participant by participant as its scans come.

The tables are fetched first. Participants of whom everything is done are known by their ledger
entry; the others go in parts: a part's scans are fetched while the former part is segmented, and
leave this computer when their results are in the store. Two parts together hold at most
``cache.objects_gb`` of scans (or one participant, if a single one is larger).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lesion_dynamics.cohort.cohort import Cohort, Exclusion, Scan
from lesion_dynamics.cohort.reading import assembled, usable_scans
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing.gradient_distortion import require_usable_coefficients
from lesion_dynamics.preprocessing.step_cache import open_cache
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.workflows.inference_quality import quality_of, quality_task
from lesion_dynamics.workflows.inference_scans import (
    Outcome,
    Worked,
    require_some_usable,
    work_on,
)
from lesion_dynamics.workflows.inference_tasks import ScanTask
from lesion_dynamics.workflows.lineage.written import engines_of
from lesion_dynamics.workflows.objects.ledger import Entry, Ledger
from lesion_dynamics.workflows.objects.mirror import Mirror
from lesion_dynamics.workflows.objects.staging import publish_rest
from lesion_dynamics.workflows.objects.stored_outputs import StoredOutputs
from lesion_dynamics.workflows.objects.streamed_cohort import StreamedCohort


def segment_streamed(
    source: StreamedCohort,
    version: ModelVersion,
    folder: Path,
    mirror: Mirror | None,
) -> tuple[Cohort, Outcome]:
    """Segment what is not done; the whole cohort, and what is to be written of it.

    Raises
    ------
    UserError : as `inference.run`.
    """
    settings = source.settings
    ledger = Ledger(folder, settings, settings.cohort_folder, version.folder_name)
    outputs = StoredOutputs(folder, mirror)
    keys = source.keys(version)
    outcome = Outcome()
    scans: list[Scan] = []
    exclusions: list[Exclusion] = []
    due: list[str] = []
    for who in source.tables.participants["participant_id"]:
        entry = ledger.of(who)
        if entry is None or entry.key != keys[who] or not outputs.has(entry):
            due.append(who)
            continue
        scans += entry.scans_of(who)
        exclusions += entry.left_out()
        _add_finished(outcome, who, entry)
    with closing(source.parts(due)) as coming:  # a part's scans leave when it fails, too
        for part, root in coming:
            cohort = _cohort_of(source, part, root, version)
            require_usable_coefficients(cohort)
            outputs.fetch(part)
            worked = work_on(
                cohort, version, folder, settings,
                steps=Steps(open_cache(settings.cache)), mirror=mirror, part=True,
            )  # fmt: skip
            publish_rest(mirror)
            outcome.add(worked)
            scans += cohort.scans
            exclusions += cohort.exclusions
            entries = _entries(keys, version, cohort, worked, outputs)
            outcome.quality |= {who: quality_of(who, folder) for who in part}
            sidecars = [one.outputs.sidecar for task in worked.tasks for one in task.scans]
            outcome.engines |= set(engines_of(sidecars))
            ledger.keep(entries, without=[who for who in part if who not in entries])
    outputs.fetch(())
    _sort_left_out(outcome)
    whole = assembled(settings.cohort, source.tables, scans, exclusions)
    require_some_usable(len(whole.scans), outcome.unusable)
    return whole, outcome


def _sort_left_out(outcome: Outcome) -> None:
    for named in (outcome.unusable, outcome.failed):
        named.sort(key=lambda one: (one.participant_id, one.session_id or ""))


def _cohort_of(
    source: StreamedCohort, part: list[str], root: Path, version: ModelVersion
) -> Cohort:
    """The part as a cohort of its own; it may be without a scan.

    Raises
    ------
    CohortError : files of the part vanished; images without diagnosis or days.
    """
    settings = source.settings.cohort.model_copy(update={"root": root})
    tables = source.tables.of(part)
    segmenter = version.manifest.segmenter
    scans, exclusions, unused = usable_scans(
        settings,
        tables,
        required_sequences=segmenter.required_sequences,
        optional_sequences=segmenter.optional_sequences,
        masks_needed=False,
        only=frozenset(part),
    )
    source.require_whole(part, root)  # and was whole when its scans were looked for
    return Cohort(
        name=settings.name,
        root=root,
        scans=tuple(sorted(scans, key=lambda scan: scan.key)),
        tables=tables,
        exclusions=tuple(exclusions),
        unused_masks=tuple(unused),
    )


def _entries(
    keys: Mapping[str, str],
    version: ModelVersion,
    cohort: Cohort,
    worked: Worked,
    outputs: StoredOutputs,
) -> dict[str, Entry]:
    """Of the participants of whom everything is done."""
    wrong = {e.participant_id for e in (*worked.unusable, *worked.failed)}
    wrong |= {e.participant_id for e in cohort.exclusions if e.failed}
    wrong |= {e.participant_id for e in cohort.unused_masks}
    preprocessing = version.manifest.segmenter.preprocessing
    entries = {}
    for task in worked.tasks:
        who = task.scans[0].scan.participant_id
        if who in wrong or quality_task(task, outputs.folder, preprocessing) is not None:
            continue
        entries[who] = Entry(
            key=keys[who],
            outputs=outputs.marks(who),
            scans={one.scan.session_id: _said_of(one, worked) for one in task.scans},
            exclusions=tuple(asdict(e) for e in cohort.exclusions if e.participant_id == who),
            engines=tuple(engines_of(one.outputs.sidecar for one in task.scans)),
            quality=quality_of(who, outputs.folder),
        )
    return entries


def _said_of(task: ScanTask, worked: Worked) -> dict[str, Any]:
    return {
        "images": sorted(task.scan.images),
        "input_hashes": dict(task.input_hashes),
        "row": worked.rows[task.scan.key],
    }


def _add_finished(outcome: Outcome, participant_id: str, entry: Entry) -> None:
    for session_id, own in entry.scans.items():
        key = (participant_id, session_id)
        outcome.rows[key] = dict(own["row"])
        outcome.input_hashes[" ".join(key)] = own["input_hashes"]
    outcome.kept += len(entry.scans)
    outcome.engines |= set(entry.engines)
    outcome.quality[participant_id] = dict(entry.quality)
