"""A champion of other validation scans is measured on the candidate's, once, and kept."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workflows.releases.promoting import FREE, NAME, settings
from tests.workflows.releases.tiny_version import TRAINING, make_version, scan_record

from lesion_dynamics.atomic_files import hash_of_file
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.records.registry import register, resolve
from lesion_dynamics.records.store import open_store
from lesion_dynamics.records.training_run import TrainingRun
from lesion_dynamics.segmenter.segmenter import Segmenter, mask_at
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.workflows.releases import measured_again
from lesion_dynamics.workflows.releases.promotion import assess, promote

COHORT = {
    "name": "training", "layout": "bids",
    "prepared": {"skull_stripped": True, "sequences_aligned": True, "bias_corrected": True},
}  # fmt: skip


def cohort_of(data: Path) -> CohortSettings:
    root = data / "training"
    places = {"root": root, "reference_masks": root / "derivatives" / "reference"}
    return CohortSettings.model_validate({**COHORT, **places})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, small_phantom: Path) -> tuple[Path, list[str]]:
    """Tiny/1, the champion, of unknown scans; tiny/2, validated on two of the small phantom."""
    folder = tmp_path_factory.mktemp("again")
    scans = [s for s in read_cohort(cohort_of(small_phantom)).scans if s.reference_mask][:2]
    people = [scan.participant_id for scan in scans]
    said: list[dict[str, Any]] = [
        {"each": [scan_record("sub-9")], "training": {
            **TRAINING, "participants": {"training": [people[0]], "validation": ["sub-9"]}}},
        {"each": [scan_record(s.participant_id, session_id=s.session_id) for s in scans],
         "training": {**TRAINING, "configuration": {"cohort": COHORT}}},
    ]  # fmt: skip
    store = open_store(settings(folder / "tracking", 1).tracking)
    for number, own in enumerate(said, start=1):
        made = make_version(folder / f"v{number}", name=NAME, number=number, seed=number, **own)
        run = TrainingRun.start(store, name="run", tags={})
        register(store, run_id=run.run_id, folder=made.weights.parent)
    promote(settings(folder / "tracking", 1))
    return folder / "tracking", people


def told(folder: Path, data: Path, *more: str) -> Any:
    where = cohort_of(data)
    return settings(
        folder, 2, *FREE, f"validation.root={where.root}",
        f"validation.reference_masks={where.reference_masks}", "cache.folder=null", *more,
    )  # fmt: skip


def dice_by_hand(version: ModelVersion, data: Path, people: list[str]) -> float:
    """Mean Dice of the version's own masks; both masks empty counts as 1."""
    segmenter, found = Segmenter.from_model_version(version, engine="torch"), []
    for scan in read_cohort(cohort_of(data)).scans:
        if scan.participant_id not in people or scan.reference_mask is None:
            continue
        ready = prepare_scan(
            scan, cohort_of(data).prepared, settings=segmenter.settings.preprocessing
        )
        point = version.manifest.operating_point
        own = mask_at(segmenter.probability(ready), point).voxels > 0
        reference = read_mask(scan.reference_mask).voxels > 0
        total = own.sum() + reference.sum()
        found.append(2.0 * (own & reference).sum() / total if total else 1.0)
    return float(np.mean(found))


def test_both_are_measured_on_the_candidate_s_scans_and_the_log_says_so(
    place: tuple[Path, list[str]],
    small_phantom: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder, people = place
    # A sieve of 0 keeps every voxel, so that Dice can be counted by hand.
    monkeypatch.setattr(
        "lesion_dynamics.workflows.releases.evidence.min", lambda *_: 0.0, raising=False
    )
    with caplog.at_level(logging.INFO):
        found = assess(told(folder, small_phantom))
    dice = next(gate for gate in found.table if gate.name == "dice")
    champion = resolve(f"{NAME}/1", told(folder, small_phantom).tracking)
    by_hand = dice_by_hand(champion, small_phantom, people)
    assert 0 < by_hand < 1
    assert dice.champion == pytest.approx(by_hand, abs=1e-12)
    assert dice.candidate not in (dice.champion, 0.6)  # of its own record, which is made up
    assert dice.outcome != "not measurable"
    assert "tiny/1 measured on the 2 validation scans of tiny/2" in caplog.text
    assert "1 of their 2 participants trained the champion" in caplog.text
    entry = promote(told(folder, small_phantom, "force=true", "reason=shown"))
    first = entry["measured_again"][0]
    kept = folder / "evaluations" / first["record"]
    assert (first["model_version"], first["scans"]) == ("tiny/1", 2)
    assert first["trained_the_champion"] == [people[0]]
    assert first["record_sha256"] == hash_of_file(kept)
    assert json.loads(kept.read_text(encoding="utf-8"))["on_validation_of"] == "tiny/2"
    open_store(told(folder, small_phantom).tracking).client.set_registered_model_alias(
        NAME, "champion", "1"
    )

    def refuse(*_: object) -> None:
        raise AssertionError("it was measured already")

    monkeypatch.setattr(measured_again, "_measure", refuse)
    assert next(g for g in assess(told(folder, small_phantom)).table if g.name == "dice") == dice


def test_scans_that_are_not_here_are_refused_with_what_to_do(
    place: tuple[Path, list[str]], small_phantom: Path, tmp_path: Path
) -> None:
    folder, people = place
    with pytest.raises(ModelVersionError, match=r"other scans \(2 and 1, 0 in common\)") as refused:
        promote(settings(folder, 2, *FREE))
    assert "validation.root=" in refused.value.remedy
    cut = tmp_path / "training"
    (cut / "derivatives").mkdir(parents=True)
    for path in (small_phantom / "training").iterdir():
        if path.name not in ("derivatives", people[1]):
            (cut / path.name).symlink_to(path)
    (cut / "derivatives" / "reference").symlink_to(
        small_phantom / "training" / "derivatives" / "reference"
    )
    weighed = assess(told(folder, tmp_path)).weighed
    assert weighed is not None
    assert "1 of the 2 validation scans of tiny/2 are not here" in weighed.unavailable
    assert people[1] in weighed.unavailable
