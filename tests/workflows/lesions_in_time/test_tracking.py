from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from tests.conftest import composed
from tests.workflows.lesions_in_time.derivatives_folder import (
    VERSION,
    write_cohort,
    write_derivatives,
)

from lesion_dynamics.commands.__main__ import main
from lesion_dynamics.errors import CohortError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_labels
from lesion_dynamics.imaging.writing import write_mask
from lesion_dynamics.longitudinal.new_lesions import read_new_lesions
from lesion_dynamics.preprocessing.rigid_motion import inverse
from lesion_dynamics.records.derivatives import ScanOutputs
from lesion_dynamics.settings.lesions_in_time import TrackingRules, TrackSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.lesions_in_time import tracking, tracking_worker

GRID = np.diag([1.0, 1.0, 1.0, 1.0])
SHAPE = (36, 32, 30)
OLD, NEW, GROWN = (slice(5, 11),) * 3, (slice(20, 24),) * 3, (slice(4, 12),) * 3
DIAGNOSES = {"sub-a": "MS", "sub-b": "NMOSD"}


def mask(*boxes: tuple[slice, ...]) -> Image:
    voxels = np.zeros(SHAPE, dtype=np.uint8)
    for box in boxes:
        voxels[box] = 1
    return Image(voxels, GRID)


MASKS = {
    ("sub-a", "ses-01"): mask(OLD),
    ("sub-a", "ses-02"): mask(OLD, NEW),
    ("sub-a", "ses-03"): mask(GROWN, NEW),
    ("sub-b", "ses-01"): mask(OLD, NEW),
    ("sub-b", "ses-03"): mask(OLD),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_cohort(tmp_path / "data", DIAGNOSES, [0, 365.25, 800])
    write_derivatives(tmp_path / "out", MASKS, failed=[("sub-b", "ses-02")])
    return tmp_path


def settings(place: Path, *overrides: str) -> TrackSettings:
    own = [
        "cohort=bids", "cohort.name=mine", f"cohort.root={place / 'data'}",
        f"derivatives={place / 'out'}", "processes=1", *overrides,
    ]  # fmt: skip
    return validated(TrackSettings, composed("track", *own))


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same calls without the start of a process, which another test pays for."""

    def here(function: Any, items: Any, **_: Any) -> Any:
        from lesion_dynamics.workflows.processes import Done

        return [Done(item, function(item), None) for item in items]

    monkeypatch.setattr(tracking, "in_processes", here)


def tables(place: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return (
        pd.read_csv(place / "out/lesions.tsv", sep="\t"),
        pd.read_csv(place / "out/lesion_intervals.tsv", sep="\t"),
    )


def test_the_tables_say_what_became_of_every_lesion(place: Path) -> None:
    result = tracking.run(settings(place))
    assert (result.done, result.kept, result.failed) == (2, 0, ())
    lesions, intervals = tables(place)
    of_a = lesions[lesions["participant_id"] == "sub-a"]
    assert list(of_a["change"]) == ["stable", "new", "enlarging", "stable"]
    assert list(of_a["lesion_id"]) == [1, 2, 1, 2]
    assert list(of_a["end_lesion_volume_mm3"]) == [216.0, 64.0, 512.0, 64.0]
    assert list(of_a.iloc[1][["x_mm", "y_mm", "z_mm"]]) == [21.5, 21.5, 21.5]
    first = intervals.iloc[0]
    assert first["interval_years"] == 1.0
    assert (first["new_lesion_count"], first["new_lesion_volume_mm3"]) == (1, 64.0)
    assert first["end_tracked_volume_mm3"] == first["end_lesion_volume_mm3"] == 280.0
    assert intervals.iloc[1]["enlarging_volume_change_mm3"] == 512 - 216
    # The failed session between takes nothing but itself away.
    last = intervals.iloc[2]
    assert (last["start_session_id"], last["end_session_id"]) == ("ses-01", "ses-03")
    assert (last["resolved_lesion_count"], last["resolved_volume_change_mm3"]) == (1, -64.0)
    assert set(json.loads((place / "out/lesion_intervals.json").read_text())) == set(intervals)
    counts = read_new_lesions(place / "out/lesion_intervals.tsv")
    assert list(counts["new_lesion_count"]) == [1, 0, 0]
    assert set(counts["model_version"]) == {VERSION}


def test_maps_of_change_lie_in_the_participant_s_space_with_their_labels(place: Path) -> None:
    tracking.run(settings(place))
    stem = place / "out/sub-a/ses-03/anat/sub-a_ses-03_space-participant_desc-change_dseg"
    found = read_labels(stem.with_suffix(".nii.gz"))
    expected = np.zeros(SHAPE, dtype=int)
    expected[GROWN], expected[NEW] = 3, 1
    assert np.array_equal(found.voxels, expected)
    sidecar = json.loads(stem.with_suffix(".json").read_text())
    assert sidecar["Labels"]["2"] == "new"
    assert (sidecar["StartSession"], sidecar["Interpolated"]) == ("ses-02", False)
    assert (
        not (place / "out/sub-a/ses-01/anat")
        .joinpath(stem.name.replace("ses-03", "ses-01") + ".nii.gz")
        .exists()
    )


def moved(motion: NDArray[np.float64]) -> Image:
    """A ball of 5 mm in participant space at (16, 16, 15), seen from a session that moved."""
    index = np.indices(SHAPE).reshape(3, -1)
    world = motion[:3, :3] @ index + motion[:3, 3:]
    inside = ((world - np.array([[16.0], [16.0], [15.0]])) ** 2).sum(axis=0) <= 25
    return Image(inside.reshape(SHAPE).astype(np.uint8), GRID)


def turned(degrees: float, shift: tuple[float, float, float]) -> NDArray[np.float64]:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    motion = np.eye(4)
    motion[:2, :2] = [[c, -s], [s, c]]
    motion[:3, 3] = shift
    return motion


def test_sessions_are_compared_after_the_motions_of_their_sidecars(tmp_path: Path) -> None:
    write_cohort(tmp_path / "data", {"sub-a": "MS"}, [0, 100])
    keys = [("sub-a", "ses-01"), ("sub-a", "ses-02")]
    motions = [turned(6.0, (2.5, -1.0, 0.3)), turned(-5.0, (-3.2, 2.0, 0.0))]
    masks = dict(zip(keys, map(moved, motions), strict=True))
    places = dict(zip(keys, motions, strict=True))
    write_derivatives(tmp_path / "out", masks, places=places)
    tracking.run(settings(tmp_path))
    lesions, intervals = tables(tmp_path)
    assert list(lesions["change"]) == ["stable"]
    np.testing.assert_allclose(lesions.loc[0, ["x_mm", "y_mm", "z_mm"]].astype(float),
                               [16, 16, 15], atol=0.3)  # fmt: skip
    ball = 4 / 3 * np.pi * 125
    assert intervals["end_tracked_volume_mm3"][0] == pytest.approx(ball, rel=0.06)
    # Without the motions the two balls lie 6 mm and more apart.
    write_derivatives(tmp_path / "out", masks, places={k: inverse(m) for k, m in places.items()})
    tracking.run(settings(tmp_path))
    assert set(tables(tmp_path)[0]["change"]) != {"stable"}


def test_only_what_changed_is_done_again_and_a_lost_map_comes_back(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking.run(settings(place))
    before = {p: p.read_bytes() for p in (place / "out").rglob("*") if p.is_file()}
    again = tracking.run(settings(place))
    assert (again.done, again.kept) == (0, 2)
    change_map = place / "out/sub-a/ses-02/anat/sub-a_ses-02_space-participant_desc-change_dseg"
    change_map.with_suffix(".nii.gz").unlink()
    assert tracking.run(settings(place)).done == 1
    assert {p: p.read_bytes() for p in (place / "out").rglob("*") if p.is_file()} == before
    write_mask(ScanOutputs.of("sub-b", "ses-03", place / "out").mask, mask(OLD, NEW))
    assert tracking.run(settings(place)).done == 1
    assert tables(place)[1]["resolved_lesion_count"].sum() == 0


@pytest.mark.parametrize(
    ("override", "column", "expected"),
    [
        ("rules.minimum_new_volume_mm3=100", "new_lesion_count", 0),
        ("rules.boundary_mm=3", "enlarging_lesion_count", 0),
        ("rules.boundary_mm=0.3", "enlarging_lesion_count", 1),
    ],
)
def test_the_rules_decide(place: Path, override: str, column: str, expected: int) -> None:
    tracking.run(settings(place, override))
    intervals = tables(place)[1]
    assert intervals[intervals["participant_id"] == "sub-a"][column].sum() == expected


def test_spacing_and_processes_reach_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cohort(tmp_path / "data", {"sub-a": "MS"}, [0, 100])
    keys = [("sub-a", "ses-01"), ("sub-a", "ses-02")]
    motions = [turned(0.0, (0.25, 0, 0)), turned(0.0, (-0.25, 0, 0))]
    masks = dict(zip(keys, map(moved, motions), strict=True))
    write_derivatives(tmp_path / "out", masks, places=dict(zip(keys, motions, strict=True)))
    seen: list[int] = []
    inner = tracking.in_processes

    def noted(function: Any, items: Any, **given: Any) -> Any:
        seen.append(given["processes"])
        return inner(function, items, **given)

    monkeypatch.setattr(tracking, "in_processes", noted)
    tracking.run(settings(tmp_path, "spacing_mm=2", "processes=3"))
    stem = tmp_path / "out/sub-a/ses-02/anat/sub-a_ses-02_space-participant_desc-change_dseg.nii.gz"
    assert read_labels(stem).voxel_sizes_mm == (2.0, 2.0, 2.0)
    assert seen == [3]


def test_the_record_of_repeatability_sets_the_margin(place: Path) -> None:
    record = {
        "format": 1, "model_version": VERSION, "source": "scan-rescan",
        "figures": [{"diagnosis": "MS", "noise_mm3": 1000.0, "noise_share": 0.0, "scans": 9}],
    }  # fmt: skip
    (place / "out/repeatability.json").write_text(json.dumps(record))
    tracking.run(settings(place))
    intervals = tables(place)[1]
    assert list(intervals["noise_margin_from"]) == [
        "repeatability record", "repeatability record", "boundary shell",
    ]  # fmt: skip
    assert intervals["enlarging_lesion_count"].sum() == 0


def test_what_was_not_aligned_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_cohort(tmp_path / "data", DIAGNOSES, [0, 365.25, 800])
    write_derivatives(tmp_path / "out", MASKS, alignment="none")
    with caplog.at_level(logging.WARNING):
        tracking.run(settings(tmp_path))
    assert len([m for m in caplog.messages if "session_alignment=rigid" in m]) == 1


@pytest.mark.parametrize("fault", ["nothing", "other cohort", "one session", "no transform"])
def test_what_cannot_be_tracked_is_refused_in_one_line(place: Path, fault: str) -> None:
    if fault == "nothing":
        (place / "out/lesion_measurements.tsv").unlink()
    elif fault == "other cohort":
        write_cohort(place / "data", {"sub-z": "MS"}, [0, 100])
    elif fault == "one session":
        write_cohort(place / "data", DIAGNOSES, [0])
    else:
        sidecar = ScanOutputs.of("sub-a", "ses-01", place / "out").sidecar
        sidecar.write_text("{}")
    expected = {
        "nothing": "run infer.py first",
        "other cohort": "belongs to the cohort",
        "one session": "two segmented sessions",
        "no transform": "ParticipantSpaceFromFLAIR",
    }
    with pytest.raises(CohortError, match=expected[fault]):
        tracking.run(settings(place))


def test_the_rules_of_the_configuration_are_those_of_the_schema(place: Path) -> None:
    assert settings(place).rules == TrackingRules()


def test_the_command_tracks_in_processes_of_its_own(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from lesion_dynamics.workflows import processes

    monkeypatch.setattr(tracking, "in_processes", processes.in_processes)
    status = main(
        [
            "track", "cohort=bids", "cohort.name=mine", f"cohort.root={place / 'data'}",
            f"derivatives={place / 'out'}", "processes=1",
        ]
    )  # fmt: skip
    assert status == 0, capfd.readouterr().err
    assert len(tables(place)[1]) == 3
    assert tracking_worker.SHELL in set(tables(place)[1]["noise_margin_from"])
