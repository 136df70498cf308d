"""One image under two names: a session copied over another, a scan of somebody else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from lesion_dynamics.cohort.checking.finding import Finding
from lesion_dynamics.cohort.checking.image_record import ImageRecord


def duplicate_findings(records: Sequence[ImageRecord]) -> Iterator[Finding]:
    """A finding for every image but the first of each group of equal ones.

    Equal are images of equal voxels, where voxels were read, and gzip files of equal content,
    whose trailer tells. Uncompressed files are only suspected, by size and header, and only
    where voxels were not read.
    """
    told: set[tuple[str, str]] = set()
    for alike in (
        _groups((r, r.voxel_digest) for r in records if r.voxel_digest),
        _groups((r, r.stored.fingerprint) for r in records if r.stored.same_bytes),
    ):
        for first, *others in alike:
            for record in others:
                if (first.name, record.name) in told:
                    continue
                told.add((first.name, record.name))
                yield _finding("same-image", record, f"the same image as {first.name}")
    suspected = [r for r in records if not (r.stored.same_bytes or r.voxel_digest)]
    for first, *others in _groups((r, r.stored.fingerprint) for r in suspected):
        what = f"size and header are those of {len(others)} other file(s), as {others[0].name}"
        yield _finding("perhaps-same-image", first, what)


def _finding(kind: str, record: ImageRecord, what: str) -> Finding:
    return Finding(
        kind, record.participant_id, record.session_id, f"{record.sequence}: {what}", record.path
    )


def _groups(keyed: Iterable[tuple[ImageRecord, str]]) -> list[list[ImageRecord]]:
    found: dict[str, list[ImageRecord]] = defaultdict(list)
    for record, key in keyed:
        found[key].append(record)
    return [group for group in found.values() if len(group) > 1]
