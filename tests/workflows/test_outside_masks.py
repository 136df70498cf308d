"""Masks from outside: read by their rule, measured, numbered, and compared by the analysis."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from tests.conftest import ROOT

from lesion_dynamics.errors import ConfigurationError, ModelVersionError, ScanError
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.longitudinal.measurements import read_measurements, write_measurements
from lesion_dynamics.records.outside_version import OUTSIDE_FILE, refuse_outside_folder
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.outside_masks import RegisterMasksSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows import analysis
from lesion_dynamics.workflows.outside_masks import register_masks

TRUTH = "truth/study"
PATTERN = "{participant_id}/{session_id}/anat/{participant_id}_{session_id}_label-L_mask.nii.gz"


@dataclass(frozen=True)
class Place:
    """The small phantom's study, a folder of masks that a tool made, an output folder."""

    phantom: Path
    folder: Path

    @property
    def masks(self) -> Path:
        return self.folder / "masks"

    def settings(self, **changed: object) -> RegisterMasksSettings:
        values = {
            "cohort": {"name": "study", "layout": "bids", "root": self.phantom / "study"},
            "masks": str(self.masks / PATTERN),
            "name": "lst-ai",
            "tool": "LST-AI",
            "tool_version": "1.2.0",
            "output": self.folder / "derivatives",
            "rule": {},
        }
        return validated(RegisterMasksSettings, values | changed)

    def one_of(self, at: int = 0) -> Path:
        return sorted(self.masks.rglob("*_mask.nii.gz"))[at]


@pytest.fixture(scope="module")
def shared(small_phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Masks that a tool would make: the true ones without their first slab; registered."""
    place = Place(small_phantom, tmp_path_factory.mktemp("outside"))
    for path in sorted((small_phantom / TRUTH).rglob("*_mask.nii.gz")):
        target = place.masks / path.relative_to(small_phantom / TRUTH)
        target.parent.mkdir(parents=True)
        image = nib.load(path)
        voxels = np.asarray(image.dataobj).astype(np.uint8)
        voxels[: voxels.shape[0] // 2 - 2] = 0
        nib.save(nib.Nifti1Image(voxels, image.affine), target)
    register_masks(place.settings())
    return place


@pytest.fixture
def place(shared: Place, tmp_path: Path) -> Place:
    """A copy that a test may spoil."""
    shutil.copytree(shared.folder, tmp_path, dirs_exist_ok=True)
    return Place(shared.phantom, tmp_path)


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_true_masks_registered_from_outside_have_the_true_volumes(
    small_phantom: Path, tmp_path: Path
) -> None:
    place = Place(small_phantom, tmp_path)
    masks = str(small_phantom / TRUTH / PATTERN)
    result = register_masks(place.settings(masks=masks, name="rater", tool="manual"))
    assert result.version.label == "rater/1"
    table = read_measurements(result.measurements)
    # The phantom's own table: measured by other code, at the time of generation.
    true = read_measurements(small_phantom / TRUTH / "lesion_measurements.tsv")
    assert len(table) == len(true)
    for column in ("lesion_volume_mm3", "lesion_count", "largest_lesion_volume_mm3"):
        assert table[column].tolist() == true[column].tolist(), column
    assert set(table["model_version"]) == {"rater/1"}
    assert table["weights_sha256"].isna().all()
    assert table["brain_volume_mm3"].isna().all()


def test_sidecars_say_which_tool_and_which_bytes(shared: Place) -> None:
    folder = shared.folder / "derivatives/study/lst-ai-v1"
    path = sorted(folder.rglob("*_label-L_mask.json"))[0]
    told = json.loads(path.read_text())
    assert (told["Tool"], told["ToolVersion"]) == ("LST-AI", "1.2.0")
    assert set(told["InputHashes"]) == {"mask", "FLAIR"}
    description = json.loads((folder / "dataset_description.json").read_text())
    assert description["GeneratedBy"][0]["Name"] == "LST-AI"
    mask = read_mask(path.with_name(path.name.replace(".json", ".nii.gz")))
    volume = float(mask.voxels.sum()) * mask.voxel_volume_mm3
    assert told["Measurements"]["lesion_volume_mm3"] == pytest.approx(volume, abs=1e-3)
    assert all(str(shared.folder) not in p.read_text() for p in folder.rglob("*.json"))


def test_the_same_masks_again_are_the_same_version_and_the_same_bytes(place: Place) -> None:
    before = bytes_below(place.folder)
    again = register_masks(place.settings())
    assert (again.version.number, again.done) == (1, 0)
    assert again.kept == len(again.version.mask_hashes)
    assert bytes_below(place.folder) == before


@pytest.mark.parametrize(
    "changed",
    [
        {"tool_version": "1.3.0"},
        {"tool": "LST"},
        {"rule": {"label": "any"}},
        {"rule": {"minimum_lesion_volume_mm3": 100}},
        {"rule": {"connectivity": 6}},
    ],
)
def test_another_tool_or_rule_is_the_next_version(place: Place, changed: dict[str, object]) -> None:
    assert register_masks(place.settings(**changed)).version.label == "lst-ai/2"


def test_changed_masks_are_the_next_version_and_the_old_ones_stay(place: Place) -> None:
    before = bytes_below(place.folder / "derivatives/study/lst-ai-v1")
    original = place.one_of().read_bytes()
    image = nib.load(place.one_of())
    voxels = np.asarray(image.dataobj).copy()
    voxels[-3:, -3:, -3:] = 1
    nib.save(nib.Nifti1Image(voxels, image.affine), place.one_of())
    assert register_masks(place.settings()).version.number == 2
    assert bytes_below(place.folder / "derivatives/study/lst-ai-v1") == before
    place.one_of().write_bytes(original)
    assert register_masks(place.settings()).version.number == 1


def test_scans_added_or_mended_later_belong_to_the_same_version(place: Place) -> None:
    late, broken = place.one_of(0), place.one_of(1)
    late_bytes, good = late.read_bytes(), broken.read_bytes()
    shutil.rmtree(place.folder / "derivatives")
    late.unlink()
    broken.write_bytes(b"no image")
    first = register_masks(place.settings())
    assert len(first.failures) == 2
    with pytest.raises(ScanError, match=r"2 scan\(s\) have no usable mask"):
        first.require_no_failures()
    reasons = read_measurements(first.measurements).query("status == 'failed'")["reason"]
    assert sorted("no mask at" in reason for reason in reasons) == [False, True]
    late.write_bytes(late_bytes)
    broken.write_bytes(good)
    second = register_masks(place.settings())
    assert (second.version.number, second.done, second.failures) == (1, 2, ())


def test_a_name_that_a_segmenter_has_is_refused_and_the_other_way_round(place: Place) -> None:
    derivatives = place.folder / "derivatives/study"
    (derivatives / "lesion-segmenter-v1").mkdir()
    with pytest.raises(ModelVersionError, match=r"infer\.py ran"):
        register_masks(place.settings(name="lesion-segmenter"))
    with pytest.raises(ModelVersionError, match="masks from outside"):
        refuse_outside_folder(derivatives / "lst-ai-v1")
    refuse_outside_folder(derivatives / "lesion-segmenter-v1")


def test_a_table_of_masks_serves_as_well_and_may_lack_scans(place: Place) -> None:
    masks = sorted(place.masks.rglob("*_mask.nii.gz"))
    rows = [(m.parts[-4], m.parts[-3], m.relative_to(place.folder).as_posix()) for m in masks[:-1]]
    header = ("participant_id", "session_id", "mask")
    table = place.folder / "masks.tsv"
    table.write_text("".join("\t".join(row) + "\n" for row in (header, *rows)))
    result = register_masks(place.settings(masks=str(table), name="by-table"))
    assert result.done == len(masks) - 1
    (failure,) = result.failures
    assert failure.reason == "not in the table of masks"
    rows[0] = ("sub-nobody", "ses-01", "x.nii.gz")
    table.write_text("".join("\t".join(row) + "\n" for row in (header, *rows)))
    with pytest.raises(ConfigurationError, match="sub-nobody ses-01 is no scan"):
        register_masks(place.settings(masks=str(table)))


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ("masks/{session_id}.nii.gz", "does not tell the scans apart"),
        ("masks/{participant_id}.nii.gz", "does not tell the scans apart"),
        ("masks/{participant_id}/{visit}.nii.gz", "unknown placeholder {visit}"),
        ("masks/{participant_id", "not a pattern"),
    ],
)
def test_patterns_that_cannot_work_are_refused(shared: Place, masks: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        register_masks(shared.settings(masks=masks))


def test_no_mask_at_all_writes_nothing(place: Place) -> None:
    before = bytes_below(place.folder)
    nowhere = str(place.folder / "nowhere/{participant_id}_{session_id}.nii.gz")
    with pytest.raises(ScanError, match=r"none of \d+ scans has a usable mask.*no mask at"):
        register_masks(place.settings(masks=nowhere, name="other"))
    with pytest.raises(ScanError, match="nothing was registered"):
        register_masks(place.settings(masks=flairs(place), name="other"))
    assert bytes_below(place.folder) == before


def flairs(place: Place) -> str:
    return str(place.phantom / "study" / PATTERN.replace("label-L_mask", "FLAIR"))


@pytest.mark.parametrize(
    "rule", [{"label": "any", "threshold": 0.5}, {"label": []}, {"label": [0, 99]}]
)
def test_rules_that_contradict_themselves_are_refused(
    shared: Place, rule: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationError, match="rule"):
        shared.settings(rule=rule)


@pytest.mark.slow
def test_the_analysis_compares_an_outside_version_like_any_other(place: Place) -> None:
    true = read_measurements(place.phantom / TRUTH / "lesion_measurements.tsv")
    ours = true.assign(
        model_version="lesion-segmenter/1", lesion_volume_mm3=true["lesion_volume_mm3"] * 0.9
    )
    derivatives = place.folder / "derivatives/study"
    write_measurements(derivatives / "lesion-segmenter-v1/lesion_measurements.tsv", ours)
    study = yaml.safe_load((ROOT / "conf/study/hong2025.yaml").read_text())
    study["bootstrap_draws"] = 100
    study["models"].update(bootstrap_draws=0, permutations=100)
    study["measurement_error"].update(bootstrap_draws=100)
    cohort = {
        "name": "study", "layout": "bids", "root": place.phantom / "study",
        "truth": place.phantom / TRUTH / "lesion_measurements.tsv",
    }  # fmt: skip
    values = {"cohort": cohort, "measurements": str(derivatives), "study": study,
              "output": place.folder / "results"}  # fmt: skip
    result = analysis.run(validated(AnalyzeSettings, values))
    assert set(result.statistics["model_version"]) == {"lesion-segmenter/1", "lst-ai/1", "truth"}
    pairs = set(zip(result.verdicts["reference"], result.verdicts["model_version"], strict=True))
    assert ("lesion-segmenter/1", "lst-ai/1") in pairs
    assert "lst-ai/1 is LST-AI 1.2.0, masks registered from outside." in result.text
    table = pd.read_csv(result.files["verdicts.tsv"], sep="\t")
    assert "lst-ai/1" in set(table["model_version"])
    assert (derivatives / "lst-ai-v1" / OUTSIDE_FILE).is_file()
