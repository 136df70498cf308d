"""Maps over six participants on a small grid in place of the template's."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.conftest import composed
from tests.workflows.lesions_in_time.derivatives_folder import write_cohort, write_derivatives

from lesion_dynamics.atomic_files import write_json
from lesion_dynamics.errors import CohortError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_image
from lesion_dynamics.imaging.writing import write_displacement, write_labels, write_mask
from lesion_dynamics.preprocessing.mni import SPACE
from lesion_dynamics.preprocessing.mni_regions import RegionMaps
from lesion_dynamics.records.derivatives import ScanOutputs
from lesion_dynamics.settings.lesion_maps import LesionMapsSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.lesions_in_time import group_maps, lesion_maps, mni_scan
from lesion_dynamics.workflows.lesions_in_time.tasks import change_map_of
from lesion_dynamics.workflows.processes import Done

SHAPE = (24, 22, 20)
AFFINE = np.array([[1.0, 0, 0, -10], [0, 1, 0, -8], [0, 0, 1, -6], [0, 0, 0, 1]])
DIAGNOSES = {f"sub-{n}": "MS" if n < 4 else "NMOSD" for n in range(1, 8)}
FRONT, BACK, LOW = (slice(4, 8),) * 3, (slice(14, 18),) * 3, (slice(10, 13), slice(10, 13), 1)


def part(x: slice, z: slice) -> np.ndarray[Any, Any]:
    where = np.zeros(SHAPE, dtype=bool)
    where[x, :, z] = True
    return where


MAPS = RegionMaps(
    brain=np.ones(SHAPE, dtype=bool),
    infratentorial=part(slice(None), slice(0, 3)),
    near_ventricle=part(slice(0, 6), slice(3, None)),
    near_cortex=part(slice(16, None), slice(3, None)),
    affine=AFFINE,
)


def mask(*boxes: Any) -> Image:
    voxels = np.zeros(SHAPE, dtype=np.uint8)
    for box in boxes:
        voxels[box] = 1
    return Image(voxels, AFFINE)


def boxes(name: str, session: str) -> list[Any]:
    """MS: the front, later the back too. NMOSD: the lowest plane; one of them nothing."""
    if DIAGNOSES[name] == "MS":
        return [FRONT] if session == "ses-01" else [FRONT, BACK]
    return [] if name == "sub-7" else [LOW]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (mni_scan, group_maps):
        monkeypatch.setattr(module, "region_maps", lambda: MAPS)

    class Template:
        t1w = mask()

    monkeypatch.setattr(group_maps, "mni_template", lambda _: Template)
    monkeypatch.setattr(group_maps, "draw_lesion_maps", lambda *_: ())
    monkeypatch.setattr(
        lesion_maps, "in_processes", lambda f, items, **_: [Done(i, f(i), None) for i in items]
    )


def native(key: tuple[str, str]) -> Image:
    """A mask of another grid, of which only the volume matters here."""
    voxels = np.zeros((12, 12, 12), dtype=np.uint8)
    if boxes(*key):
        voxels[2:6, 2:7, 2:7] = 1
    return Image(voxels, np.diag([2.0, 1.0, 1.0, 1.0]))


def write_in_mni(out: Path, key: tuple[str, str], found: Image, **sidecar: Any) -> None:
    stem = f"{key[0]}_{key[1]}_space-{SPACE}_label-L_mask"
    folder = ScanOutputs.of(*key, out).mask.parent
    write_mask(folder / f"{stem}.nii.gz", found)
    given = {"ParticipantSpaceFromMNI": np.eye(4).tolist(), "Deformable": False, **sidecar}
    write_json(folder / f"{stem}.json", given)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_cohort(tmp_path / "data", DIAGNOSES, [0, 400])
    keys = [(name, f"ses-0{n}") for name in DIAGNOSES for n in (1, 2)]
    write_derivatives(tmp_path / "out", {key: native(key) for key in keys})
    for key in keys:
        write_in_mni(tmp_path / "out", key, mask(*boxes(*key)))
    return tmp_path


def settings(place: Path, *overrides: str) -> LesionMapsSettings:
    own = [
        "cohort=bids", "cohort.name=mine", f"cohort.root={place / 'data'}",
        f"derivatives={place / 'out'}", "processes=1", "permutations=10", *overrides,
    ]  # fmt: skip
    return validated(LesionMapsSettings, composed("lesion_maps", *own))


def voxels(place: Path, name: str) -> np.ndarray[Any, Any]:
    image = read_image(place / f"out/group/{name}.nii.gz")
    np.testing.assert_array_equal(image.affine, AFFINE)
    return image.voxels


def record(place: Path) -> Any:
    return json.loads((place / "out/group/lesion_maps.json").read_text())


def test_frequencies_are_shares_of_the_participants_of_a_diagnosis(place: Path) -> None:
    lesion_maps.run(settings(place, "permutations=0"))
    first = voxels(place, "diagnosis-MS_timepoint-first_lesionfrequency")
    expected = np.zeros(SHAPE)
    expected[FRONT] = 1
    np.testing.assert_array_equal(first, expected)
    expected[BACK] = 1
    last = voxels(place, "diagnosis-MS_timepoint-last_lesionfrequency")
    np.testing.assert_array_equal(last, expected)
    other = voxels(place, "diagnosis-NMOSD_timepoint-last_lesionfrequency")
    assert other[LOW] == pytest.approx(0.75)  # one of four is lesion-free
    assert other.sum() == pytest.approx(9 * 0.75)
    assert record(place)["participants"] == {"MS": 3, "NMOSD": 4}
    assert record(place)["comparison"]["last"]["done"] is False
    assert not list((place / "out/group").glob("contrast*"))
    assert not list((place / "out/group").glob("*newlesion*"))


def test_the_comparison_has_its_sign_and_its_place(place: Path) -> None:
    lesion_maps.run(settings(place, "permutations=120", "covariates=[]", "fewest_participants=2"))
    for timepoint in ("first", "last"):
        stem = f"contrast-MSminusNMOSD_timepoint-{timepoint}"
        t, p = voxels(place, f"{stem}_tstat"), voxels(place, f"{stem}_pfwe")
        assert (t[FRONT] > 100).all()
        assert (t[LOW] < -1).all()
        assert (p[FRONT] < 0.1).all()
        outside = np.ones(SHAPE, dtype=bool)
        for box in (FRONT, BACK, LOW):
            outside[box] = False
        assert (t[outside] == 0).all()
        assert (p[outside] == 1).all()
    account = record(place)["comparison"]
    assert (account["first"]["voxels"], account["last"]["voxels"]) == (64 + 9, 128 + 9)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [(["fewest_participants=7"], "no voxel"), (["permutations=0"], "permutations=0")],
)
def test_why_nothing_was_compared_is_said(place: Path, overrides: list[str], reason: str) -> None:
    lesion_maps.run(settings(place, *overrides))
    assert reason in record(place)["comparison"]["last"]["reason"]


def test_regions_share_out_the_native_volume(place: Path) -> None:
    lesion_maps.run(settings(place, "permutations=0"))
    table = pd.read_csv(place / "out/group/regions.tsv", sep="\t").set_index(
        ["participant_id", "session_id", "region"]
    )
    assert table.loc[("sub-1", "ses-01", "periventricular"), "lesion_volume_mm3"] == 200.0
    for region in ("periventricular", "juxtacortical"):
        row = table.loc[("sub-1", "ses-02", region)]
        assert (row["lesion_volume_mm3"], row["lesion_count"]) == (100.0, 1)
    assert table.loc[("sub-5", "ses-01", "infratentorial"), "lesion_volume_mm3"] == 200.0
    assert table.loc["sub-7", "lesion_volume_mm3"].sum() == 0.0
    assert len(table) == 7 * 2 * 4


def test_new_lesions_come_from_the_maps_of_change_through_the_transforms(place: Path) -> None:
    """The participant's space lies 3 mm to the right of MNI space; sub-2 is also warped by 2 mm."""
    out = place / "out"
    to_participant = np.eye(4)
    to_participant[0, 3] = 3.0
    for name in ("sub-1", "sub-2", "sub-3"):
        changes = np.zeros(SHAPE, dtype=np.uint8)
        changes[(slice(10, 13),) * 3] = 2 if name != "sub-3" else 1
        path = change_map_of(out, name, "ses-02")
        write_labels(path, Image(changes, AFFINE))
        warped = name == "sub-2"
        write_in_mni(
            out, (name, "ses-02"), mask(*boxes(name, "ses-02")),
            ParticipantSpaceFromMNI=to_participant.tolist(), Deformable=warped,
        )  # fmt: skip
        if warped:
            field = np.zeros((*SHAPE, 3), dtype=np.float32)
            field[..., 1] = 2.0
            file = f"{name}_ses-02_space-{SPACE}_desc-warp_xfm.nii.gz"
            write_displacement(path.with_name(file), field, AFFINE)
    lesion_maps.run(settings(place, "permutations=0"))
    found = voxels(place, "diagnosis-MS_newlesionfrequency")
    expected = np.zeros(SHAPE)
    expected[7:10, 10:13, 10:13] += 1 / 3
    expected[7:10, 8:11, 10:13] += 1 / 3
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert record(place)["participants_with_tracking"] == {"MS": 3, "NMOSD": 0}


def test_a_second_run_keeps_everything_and_any_change_redoes_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not lesion_maps.run(settings(place)).kept
    before = {p.name: p.read_bytes() for p in (place / "out/group").iterdir()}
    assert lesion_maps.run(settings(place, "processes=2")).kept
    (place / "out/group/regions.tsv").write_text("")
    assert not lesion_maps.run(settings(place)).kept
    assert {p.name: p.read_bytes() for p in (place / "out/group").iterdir()} == before
    for change in ("seed=7", "permutations=11", "covariates=[age]", "alpha=0.1"):
        assert not lesion_maps.run(settings(place, change)).kept, change
    assert not lesion_maps.run(settings(place)).kept
    write_in_mni(place / "out", ("sub-1", "ses-01"), mask(BACK))
    assert not lesion_maps.run(settings(place)).kept


def test_seed_and_covariates_reach_the_comparison(place: Path) -> None:
    def p_and_t(*overrides: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        lesion_maps.run(settings(place, "fewest_participants=2", *overrides))
        stem = "contrast-MSminusNMOSD_timepoint-last"
        return voxels(place, f"{stem}_pfwe"), voxels(place, f"{stem}_tstat")

    p, t = p_and_t("covariates=[]", "seed=1")
    other, _ = p_and_t("covariates=[]", "seed=2")
    assert not np.array_equal(p, other)
    with_age = p_and_t("covariates=[age]", "seed=1")[1]
    assert not np.allclose(with_age[LOW], t[LOW])


@pytest.mark.parametrize("fault", ["no mni", "other grid", "no age"])
def test_what_cannot_be_mapped_is_refused_in_one_line(place: Path, fault: str) -> None:
    folder = ScanOutputs.of("sub-2", "ses-02", place / "out").mask.parent
    file = folder / f"sub-2_ses-02_space-{SPACE}_label-L_mask.nii.gz"
    if fault == "no mni":
        file.unlink()
        with pytest.raises(CohortError, match=r"1 of 14 .* sub-2 ses-02.*mni=deformable"):
            lesion_maps.run(settings(place))
    elif fault == "other grid":
        write_mask(file, native(("sub-2", "ses-02")))
        with pytest.raises(Exception, match="template's grid"):
            lesion_maps.run(settings(place))
    else:
        table = place / "data/participants.tsv"
        table.write_text(table.read_text().replace("\t33\t", "\tn/a\t"))
        with pytest.raises(CohortError, match="age of sub-2 is not known"):
            lesion_maps.run(settings(place))
        lesion_maps.run(settings(place, "covariates=[sex]"))


def test_without_tracking_the_maps_of_new_lesions_are_said_to_be_missing(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        lesion_maps.run(settings(place, "permutations=0"))
    assert any("lesion-dynamics track" in message for message in caplog.messages)
