"""Outputs of aligned sessions say which sessions they rest on, and never mix spaces in a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.in_this_process import in_this_process
from tests.workflows.stand_in_sessions import WHO, Place

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.model_version import LONGITUDINAL
from lesion_dynamics.workflows import inference_scans, inference_worker, quality_measuring
from lesion_dynamics.workflows.inference_scans import Worked
from lesion_dynamics.workflows.inference_tasks import ParticipantTask


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    found = Place(tmp_path)
    for session in ("ses-1", "ses-2", "ses-3"):
        found.lay(session)
    monkeypatch.setattr(inference_scans, "spread", in_this_process)
    monkeypatch.setattr(inference_worker, "load_segmenter", found.begin)
    monkeypatch.setattr(inference_worker, "_worker", None)
    monkeypatch.setattr(inference_worker, "prepare_scan", found.prepare)
    monkeypatch.setattr(inference_worker, "align_what_registers", found.align)
    monkeypatch.setattr(inference_worker, "_segment_scan", found.segment)
    monkeypatch.setattr(
        inference_worker, "consistent_probabilities", lambda _, images, **__: images
    )
    monkeypatch.setattr(quality_measuring, "measure_participant", found.measure)
    return found


def failures(worked: Worked) -> dict[str, str]:
    return {str(one.session_id): one.reason for one in worked.failed}


def test_a_session_that_failed_once_brings_its_siblings_into_its_space_again(
    place: Place,
) -> None:
    place.unprepared = {"ses-1"}
    first = place.run()
    assert failures(first) == {"ses-1": "unexpected MemoryError: not now"}
    assert place.written == ["ses-2", "ses-3"]
    assert place.sidecar("ses-2")["Preprocessing"]["MiddleOf"] == ["ses-2", "ses-3"]
    assert list(place.sidecar("ses-2")["InputHashes"]["sessions_aligned_with"]) == [
        "ses-2", "ses-3",
    ]  # fmt: skip
    place.unprepared.clear()
    second = place.run()
    assert place.written == ["ses-1", "ses-2", "ses-3"]
    assert (len(second.rows), second.kept, second.failed) == (3, 0, ())
    assert place.sidecar("ses-2")["Preprocessing"]["MiddleOf"] == ["ses-1", "ses-2", "ses-3"]
    assert (place.run().kept, place.written) == (3, [])


def test_as_long_as_a_session_fails_its_siblings_are_kept(place: Place) -> None:
    place.unprepared = {"ses-1"}
    place.run()
    again = place.run()
    assert (again.kept, list(failures(again)), place.written) == (2, ["ses-1"], [])
    place.unprepared = {"ses-1", "ses-2"}
    place.lay("ses-3", voxels=9)  # another image: nothing of before counts
    worse = place.run()
    assert (worse.kept, sorted(failures(worse)), place.written) == (
        0,
        ["ses-1", "ses-2"],
        ["ses-3"],
    )


def test_a_session_that_is_done_and_fails_beside_a_new_one_leaves_the_table(place: Place) -> None:
    """The due session lies in the middle of those that can be used now, and so must all."""
    place.run()
    place.mask("ses-1").unlink()
    place.unprepared = {"ses-3"}
    worked = place.run()
    assert place.written == ["ses-1", "ses-2"]
    assert list(failures(worked)) == ["ses-3"]
    assert (len(worked.rows), worked.kept) == (2, 0)
    place.unprepared.clear()
    assert (place.run().kept, place.written) == (1, ["ses-1", "ses-2"])
    assert place.run().kept == 3


def test_a_due_session_that_fails_changes_nothing_for_those_that_are_done(place: Place) -> None:
    place.run()
    place.mask("ses-1").unlink()
    place.unprepared = {"ses-1", "ses-3"}
    worked = place.run()
    assert (worked.kept, list(failures(worked)), place.written) == (2, ["ses-1"], [])


def test_sessions_that_failed_in_turn_do_not_stay_apart(place: Place) -> None:
    both = ("ses-1", "ses-2")
    place.unprepared = {"ses-2"}
    place.run(both)
    place.unprepared = {"ses-1"}
    apart = place.run(both)
    assert (list(apart.rows), list(failures(apart))) == ([(WHO, "ses-2")], ["ses-1"])
    place.unprepared.clear()
    assert (place.run(both).kept, place.written) == (0, ["ses-1", "ses-2"])
    assert place.run(both).kept == 2


def test_a_sibling_that_is_not_written_again_is_no_part_of_the_table(place: Place) -> None:
    place.unprepared = {"ses-1"}
    place.run()
    place.unprepared, place.unwritten = set(), {"ses-3"}
    worked = place.run()
    assert list(failures(worked)) == ["ses-3"]
    assert len(worked.rows) == 2
    place.unwritten.clear()
    assert (place.run().kept, place.written) == (2, ["ses-3"])


def test_an_image_that_is_none_is_not_counted_in_until_it_is_mended(place: Place) -> None:
    place.lay("ses-1", voxels=0)
    assert len(place.run().unusable) == 1
    assert place.sidecar("ses-2")["Preprocessing"]["MiddleOf"] == ["ses-2", "ses-3"]
    assert (place.run().kept, place.written) == (2, [])
    place.lay("ses-1")
    assert (place.run().kept, place.written) == (0, ["ses-1", "ses-2", "ses-3"])


def test_a_session_that_does_not_register_fails_alone_and_both_are_named(place: Place) -> None:
    place.unregistered = {"ses-2"}
    worked = place.run()
    assert failures(worked) == {
        "ses-2": "the images could not be registered: it diverged (ses-2 and ses-1). "
        "Look at both images: do they show the same head?"
    }
    assert place.written == ["ses-1", "ses-3"]
    assert place.sidecar("ses-1")["Preprocessing"]["MiddleOf"] == ["ses-1", "ses-3"]
    assert (place.run().kept, place.written) == (2, [])
    place.unregistered.clear()
    assert (place.run().kept, place.written) == (0, ["ses-1", "ses-2", "ses-3"])


def test_a_defect_of_the_alignment_is_the_failure_of_its_participant(place: Place) -> None:
    place.alignment_breaks = True
    worked = place.run()
    assert set(failures(worked).values()) == {"unexpected MemoryError: in between"}
    assert len(worked.failed) == 3


def test_probabilities_that_were_shared_without_a_session_are_shared_again(place: Place) -> None:
    place.mode = LONGITUDINAL
    place.improbable = {"ses-1"}
    worked = place.run()
    assert list(failures(worked)) == ["ses-1"]
    said = place.sidecar("ses-2")
    assert said["Preprocessing"]["MiddleOf"] == ["ses-1", "ses-2", "ses-3"]
    assert said["InputHashes"]["sessions_informed_by"] == ["ses-2", "ses-3"]
    assert (place.run().kept, place.written) == (2, [])
    place.improbable.clear()
    assert (place.run().kept, place.written) == (0, ["ses-1", "ses-2", "ses-3"])
    assert place.run().kept == 3


def test_probabilities_that_cannot_be_shared_are_the_failure_of_the_participant(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(*_: object, **__: object) -> list[Image]:
        raise MemoryError("all at once")

    place.mode = LONGITUDINAL
    monkeypatch.setattr(inference_worker, "consistent_probabilities", too_many)
    assert set(failures(place.run()).values()) == {"unexpected MemoryError: all at once"}


def test_sessions_that_are_not_aligned_have_nothing_to_do_with_each_other(place: Place) -> None:
    place.alignment = "none"
    place.unprepared = {"ses-1"}
    assert (list(failures(place.run())), place.written) == (["ses-1"], ["ses-2", "ses-3"])
    assert "sessions_aligned_with" not in place.sidecar("ses-2")["InputHashes"]
    place.unprepared = {"ses-2"}  # it is prepared for the measures of quality only
    worked = place.run()
    assert (worked.failed, worked.kept, place.written) == ((), 2, ["ses-1"])


def test_quality_that_was_measured_without_a_session_is_measured_again(place: Place) -> None:
    place.unprepared = {"ses-1"}
    place.run()
    place.run()
    assert place.measured == [2]
    place.unprepared.clear()
    place.run()
    place.run()
    assert place.measured == [2, 3]
    kept = json.loads((place.out / WHO / f"{WHO}_quality.json").read_text())
    assert kept["Scans"] == {f"ses-{n}": {"others": 3.0} for n in (1, 2, 3)}


def test_what_was_done_stays_when_the_work_on_a_participant_breaks_off(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three done sessions one is due again, and one is written before all breaks off."""
    place.unprepared = {"ses-1"}
    place.run()
    place.unprepared.clear()

    def break_off(task: ParticipantTask) -> None:
        place.mask("ses-2").unlink()
        raise ScanError("gone", where="here", remedy="Again.")

    with monkeypatch.context() as patch:
        patch.setattr(inference_worker, "segment_participant", break_off)
        worked = place.run()
    assert failures(worked) == dict.fromkeys(("ses-1", "ses-2"), "here: gone. Again.")
    assert (list(worked.rows), worked.kept) == ([(WHO, "ses-3")], 1)


def test_the_key_with_every_session_is_that_of_a_participant_who_has_no_other(
    place: Place,
) -> None:
    place.unprepared = {"ses-1", "ses-2"}
    place.run()
    place.unprepared.clear()
    assert (place.run(["ses-3"]).kept, place.written) == (1, [])
    assert place.run(["ses-1", "ses-3"]).kept == 0
