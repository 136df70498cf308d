"""A model's masks, ranked, laid out, corrected, and back as labels with their origin."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from tests.conftest import composed

from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import CohortError, ConfigurationError, MeasurementsError, ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_image, read_mask
from lesion_dynamics.imaging.writing import write_mask, write_probability
from lesion_dynamics.longitudinal.measurements import FILE_NAME, write_measurements
from lesion_dynamics.records.derivatives import ScanOutputs
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.corrections import (
    RANKING_FILE,
    LayOutCorrectionsSettings,
    RankScansSettings,
    TakeCorrectionsSettings,
)
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.corrections import lay_out, rank, take
from lesion_dynamics.workflows.corrections.laid_out import without_labels

PARTICIPANTS = 3


class Site:
    """A cohort of the phantom pinned by DVC, and what two model versions made of it."""

    def __init__(self, folder: Path, phantom: Path) -> None:
        self.folder = folder
        self.root = folder / "data/study"
        people = sorted(path for path in (phantom / "study").glob("sub-*"))[:PARTICIPANTS]
        for source in people:
            first = sorted(source.glob("ses-*"))[0]
            shutil.copytree(first, self.root / source.name / first.name)
            name = f"{source.name}_sessions.tsv"
            lines = (source / name).read_text().splitlines()
            (self.root / source.name / name).write_text("\n".join(lines[:2]) + "\n")
        table = pd.read_csv(phantom / "study/participants.tsv", sep="\t", dtype=str)
        kept = table[table["participant_id"].isin([path.name for path in people])]
        kept.to_csv(self.root / "participants.tsv", sep="\t", index=False, na_rep="n/a")
        shutil.copy(phantom / "study/dataset_description.json", self.root)
        self.scans = read_cohort(without_labels(self.cohort())).scans
        for number in (1, 2):
            self._infer(number)

    def cohort(self) -> CohortSettings:
        values = composed("infer", f"cohort.root={self.root}")["cohort"]
        values["reference_masks"] = str(self.root / "derivatives/reference")
        return validated(CohortSettings, values)

    def derivatives(self, number: int) -> Path:
        return self.folder / f"derivatives/study/seg-v{number}"

    def _infer(self, number: int) -> None:
        """Version 1 and 2 agree on the first scan, differ on the second, the third is unsure."""
        rows = []
        for place, scan in enumerate(self.scans):
            flair = read_image(scan.images["FLAIR"])
            lesion = np.zeros(flair.shape, bool)
            shift = 2 * number if place == 1 else 0
            lesion[10:16, 10 + shift : 16 + shift, 5:9] = True
            probability = np.where(lesion, 1.0, 0.0)
            if place == 2:
                probability[20:30, 10:16, 5:9] = 0.49
            outputs = ScanOutputs.of(*scan.key, self.derivatives(number))
            write_mask(outputs.mask, flair.with_voxels(lesion.astype(np.uint8)))
            write_probability(outputs.probability, flair.with_voxels(probability))
            rows.append(
                {
                    "participant_id": scan.participant_id,
                    "session_id": scan.session_id,
                    "model_version": f"seg/{number}",
                    "weights_sha256": str(number) * 64,
                    "probability_threshold": 0.5,
                    "minimum_lesion_volume_mm3": 14.0,
                    "connectivity": 26,
                    "lesion_volume_mm3": lesion.sum() * flair.voxel_volume_mm3,
                    "lesion_count": 1,
                    "voxel_volume_mm3": flair.voxel_volume_mm3,
                    "status": "measured",
                }
            )
        write_measurements(self.derivatives(number) / FILE_NAME, pd.DataFrame(rows))

    def rank(self) -> pd.DataFrame:
        folders = [str(self.derivatives(number)) for number in (2, 1)]
        values = composed("rank_scans", f"derivatives=[{','.join(folders)}]")
        return rank.run(validated(RankScansSettings, values))

    def lay_out(self, *overrides: str) -> Path:
        values = composed(
            "lay_out_corrections",
            f"derivatives={self.derivatives(2)}",
            f"output={self.folder / 'corrections'}",
            *overrides,
        )
        values["cohort"] = self.cohort().model_dump()
        lay_out.run(validated(LayOutCorrectionsSettings, values))
        return self.folder / "corrections"

    def take(self, *overrides: str) -> take.Taken:
        values = composed(
            "take_corrections",
            f"corrections={self.folder / 'corrections'}",
            "corrected_by=rater7",
            *overrides,
        )
        values["cohort"] = self.cohort().model_dump()
        return take.run(validated(TakeCorrectionsSettings, values))


@pytest.fixture
def site(tmp_path: Path, small_phantom: Path) -> Site:
    return Site(tmp_path, small_phantom)


def edit(path: Path, *, grid: str = "kept") -> np.ndarray:
    """As a mask editor saves: float, another label, its own header; a lesion more."""
    image = nib.load(path)
    voxels = np.asarray(image.dataobj).astype(np.float32) * 3
    voxels[1:4, 1:4, 1:4] = 3
    affine = image.affine.copy()
    affine[0, 3] += 0.5 if grid == "shifted" else 0
    if grid == "cropped":
        voxels = voxels[1:]
    if grid == "not binary":
        voxels[0, 0, 0] = 1
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return voxels > 0


def test_the_round_trip_of_a_correction(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    table = site.rank()
    second, third = site.scans[1].key, site.scans[2].key
    shifted = 2 * 6 * 4 * 4 / (2 * 6 * 6 * 4)
    assert table.set_index(["participant_id", "session_id"])["disagreement"].to_dict() == {
        site.scans[0].key: 0, second: pytest.approx(1 - shifted), third: 0
    }  # fmt: skip
    assert set(zip(table["participant_id"][:2], table["session_id"][:2], strict=True)) == {
        second, third
    }  # fmt: skip
    assert (site.derivatives(2) / RANKING_FILE).is_file()

    folder = site.lay_out("scans=2")
    readme = (folder / "README.md").read_text()
    for key in (second, third):
        scan = folder / "_".join(key)
        assert {path.name for path in scan.iterdir()} == {"FLAIR.nii.gz", "lesions.nii.gz"}
        for program in ("itksnap -g", "fsleyes", "3D Slicer", scan.name):
            assert program in readme
    with pytest.raises(CohortError, match="laid out here already"):
        site.lay_out()

    subprocess.run(["git", "init", "-q", str(site.folder)], check=True)
    for arguments in (["init", "-q"], ["add", "-q", "data"]):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=site.folder, check=True)
    pinned = yaml.safe_load((site.folder / "data.dvc").read_text())["outs"][0]["md5"]

    corrected = edit(folder / "_".join(second) / "lesions.nii.gz")
    same = nib.load(folder / "_".join(third) / "lesions.nii.gz")
    nib.save(  # opened and saved again: other bytes, the same mask
        nib.Nifti1Image(np.asarray(same.dataobj).astype(np.int16), same.affine),
        folder / "_".join(third) / "lesions.nii.gz",
    )
    taken = site.take()
    assert taken.unchanged == ("_".join(third),)
    masks = {scan.key: scan.reference_mask for scan in read_cohort(site.cohort()).scans}
    assert [key for key, mask in masks.items() if mask is not None] == [second]
    assert taken.taken == (masks[second],)
    mask = read_mask(taken.taken[0])
    assert np.array_equal(mask.voxels > 0, corrected)
    assert mask.on_same_grid_as(read_image(site.scans[1].images["FLAIR"]))
    sidecar = json.loads(Path(str(taken.taken[0]).replace(".nii.gz", ".json")).read_text())
    assert sidecar["CorrectedBy"] == "rater7"
    assert sidecar["CorrectedOn"] == date.today().isoformat()
    assert sidecar["FromModelVersion"] == "seg/2"
    assert sidecar["FromWeightsSHA256"] == "2" * 64
    assert sidecar["Changed"] is True
    assert sidecar["LesionVolume_mm3"] == pytest.approx(corrected.sum() * mask.voxel_volume_mm3)

    now = yaml.safe_load((site.folder / "data.dvc").read_text())["outs"][0]["md5"]
    assert now != pinned
    assert now in caplog.text
    assert "split_from=seg/2" in caplog.text

    with pytest.raises(CohortError, match="have a reference mask already"):
        site.take()
    assert len(site.take("replace=true", "unchanged=take").taken) == 2


@pytest.mark.parametrize(
    ("grid", "refused"),
    [("shifted", "not on the grid"), ("cropped", "not on the grid"), ("not binary", "must hold 0")],
)
def test_a_mask_that_does_not_fit_is_refused_and_nothing_is_taken(
    grid: str, refused: str, site: Site
) -> None:
    site.rank()
    folder = site.lay_out("scans=2")
    good, bad = sorted(folder.glob("sub-*/lesions.nii.gz"))
    edit(good)
    edit(bad, grid=grid)
    with pytest.raises(ScanError, match=refused):
        site.take()
    assert not (site.root / "derivatives").exists()


def test_what_is_not_there_or_not_the_same_is_refused(site: Site) -> None:
    with pytest.raises(MeasurementsError, match="Rank first"):
        site.lay_out()
    with pytest.raises(CohortError, match="no folder that lay-out-corrections wrote"):
        site.take()
    site.rank()
    folder = site.lay_out("scans=1")
    (mask,) = folder.glob("sub-*/lesions.nii.gz")
    content = mask.read_bytes()
    mask.unlink()
    with pytest.raises(ScanError, match="is missing"):
        site.take()
    mask.write_bytes(content)
    who, session = mask.parent.name.split("_")
    (flair,) = (site.root / who / session / "anat").glob("*_FLAIR.nii.gz")
    image = read_image(flair)
    write_probability(flair, Image(voxels=image.voxels / image.voxels.max(), affine=image.affine))
    with pytest.raises(CohortError, match="its FLAIR is missing or has changed"):
        site.take()


def test_a_cohort_without_a_folder_for_labels_is_refused(site: Site) -> None:
    cohort = site.cohort().model_copy(update={"reference_masks": None})
    settings = TakeCorrectionsSettings(
        cohort=cohort, corrections=site.folder, corrected_by="r", unchanged="leave", replace=False
    )
    with pytest.raises(ConfigurationError, match=r"cohort\.reference_masks"):
        take.run(settings)
