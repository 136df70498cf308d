"""The repeatability of a model version: what is measured again, what is kept, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.conftest import Workplace
from tests.workflows.repeatability_settings import settings_of

from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.longitudinal.measurements import FILE_NAME
from lesion_dynamics.longitudinal.repeatability import REPEATABILITY_FILE, read_repeatability
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing.intensity import normalise_intensities
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.step_cache import open_cache
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.records.repeatability_record import bring_to_measurements
from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.workflows.repeatability import measuring, worker
from lesion_dynamics.workflows.repeatability.outputs import DIFFERENCES_FILE, SUMMARY_FILE

FOLDER = "derivatives/study/lesion-segmenter-v1"


@pytest.fixture
def place(trained: tuple[Workplace, ModelVersion], tmp_path: Path) -> Workplace:
    """A workplace of its own with the trained version, over the small phantom."""
    shutil.copytree(trained[0].folder / "models", tmp_path / "models")
    return Workplace(tmp_path, trained[0].data)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    """Expensive steps are done once for all tests here."""
    folder = tmp_path_factory.mktemp("steps")
    return Steps(open_cache(CacheSettings(folder=folder, largest_gb=1)))


class BrightIsLesion:
    """A segmenter whose answer is the FLAIR itself, so that every perturbation shows."""

    def __init__(self, version: ModelVersion, offset: float = 0.0) -> None:
        self.settings = version.manifest.segmenter
        self.precision = "float32"
        self.offset = offset

        class Device:
            type = "cpu"

        self.device = Device()

    def probability(self, prepared: PreparedScan) -> Image:
        image, brain = prepared.flair.image, prepared.brain_mask
        inside = brain.voxels > 0
        z = normalise_intensities(
            image.voxels, inside, settings=self.settings.preprocessing.intensity
        )
        probability = 1 / (1 + np.exp(-4 * (z - 1.2 + self.offset)))
        return brain.with_voxels(np.where(inside, probability, 0).astype(np.float32))


@pytest.fixture
def again(
    place: Workplace,
    trained: tuple[Workplace, ModelVersion],
    steps: Steps,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """Rows of the first scan under some overrides, with the segmenter above, in this process."""

    def rows(*overrides: str) -> dict[str, Any]:
        settings = settings_of(place, *overrides)
        scan = read_cohort(settings.cohort).scans[0]
        begun = worker._Worker(
            BrightIsLesion(trained[1]), trained[1], settings.cohort,  # type: ignore[arg-type]
            settings.perturbations, settings.seed, steps,
        )  # fmt: skip
        monkeypatch.setattr(worker, "_worker", begun)
        monkeypatch.setattr(worker, "_other", lambda *_: BrightIsLesion(trained[1], offset=0.1))
        kept = place.folder / "kept.json"
        found = worker.measure_again(worker.PerturbedScan(scan, kept, "key"))
        assert json.loads(kept.read_text()) == found
        return found

    return rows


def volumes(found: dict[str, Any]) -> list[float]:
    assert not any(row["reason"] for row in found["rows"])
    return [row["lesion_volume_mm3"] for row in found["rows"]]


def test_every_perturbation_is_measured_and_moves_the_volume_a_little(again: Any) -> None:
    found = again("perturbations.precisions=[float32,bf16]")
    names = [(row["perturbation"], row["setting"], row["draw"]) for row in found["rows"]]
    assert names == [
        ("flip", "", 1), ("shift", "", 1), ("shift", "", 2), ("noise", "", 1), ("noise", "", 2),
        ("bias", "", 1), ("bias", "", 2), ("thicker", "", 1), ("precision", "bf16", 1),
    ]  # fmt: skip
    original = found["original_lesion_volume_mm3"]
    by_name = dict(zip(names, volumes(found), strict=True))
    assert original > 1000
    # Mirrored voxels are the same voxels; everything else changes something.
    assert by_name.pop(("flip", "", 1)) == pytest.approx(original, rel=1e-6)
    assert all(volume != original for volume in by_name.values())
    assert by_name[("noise", "", 1)] != by_name[("noise", "", 2)]
    assert volumes(again("perturbations.precisions=[float32,bf16]")) == volumes(found)


@pytest.mark.parametrize(
    ("kind", "override"),
    [
        ("shift", "perturbations.shift_voxels=0.25"),
        ("noise", "perturbations.noise_share=0.3"),
        ("noise", "perturbations.draws=3"),
        ("noise", "seed=2"),
        ("bias", "perturbations.bias_percent=30"),
        ("bias", "perturbations.bias_nodes=8"),
        ("thicker", "perturbations.thicker_slices=3"),
        ("precision", "perturbations.precisions=[float32]"),
        ("device", "perturbations.devices=[cuda]"),
    ],
)
def test_every_setting_of_a_perturbation_counts(again: Any, kind: str, override: str) -> None:
    alone = (f"perturbations.kinds=[{kind}]", f"perturbations.pooled=[{kind}]")
    assert volumes(again(*alone)) != volumes(again(*alone, override))


def test_a_perturbation_that_fails_is_a_row_with_its_reason(
    again: Any, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise MemoryError("too little")

    monkeypatch.setattr(worker, "shifted", broken)
    found = again("perturbations.kinds=[shift,flip]", "perturbations.pooled=[shift]")
    (shift, _, flip) = found["rows"]
    assert (shift["lesion_volume_mm3"], shift["reason"]) == (None, "MemoryError: too little")
    assert flip["lesion_volume_mm3"] > 0
    kept = place.folder / "kept.json"
    assert measuring._finished(kept, "key") is None  # it is done again


@pytest.mark.slow
def test_the_command_writes_keeps_and_goes_on(
    place: Workplace, trained: tuple[Workplace, ModelVersion]
) -> None:
    overrides = ("scans=2", "perturbations.kinds=[flip,noise]", "perturbations.pooled=[noise]")
    first = measuring.run(settings_of(place, *overrides))
    assert (first.done, first.kept, first.failures) == (2, 0, ())
    folder = place.folder / FOLDER
    tidy = pd.read_csv(folder / DIFFERENCES_FILE, sep="\t")
    assert list(tidy["perturbation"].value_counts().sort_index()) == [2, 4]
    assert set(tidy["perturbation"]) == {"flip", "noise"}
    assert set(tidy["diagnosis"]) == {"MS", "NMOSD"}
    change = tidy["lesion_volume_mm3"] - tidy["original_lesion_volume_mm3"]
    np.testing.assert_allclose(tidy["difference_mm3"], change, atol=1e-6)
    table = pd.read_csv(folder / SUMMARY_FILE, sep="\t").set_index(
        ["perturbation", "diagnosis", "load_mm3"]
    )
    assert set(table.index.get_level_values(0)) >= {"noise", "pooled"}
    # Copies with noise are held against each other: a scan's variance is half the square between.
    noise = tidy[tidy["perturbation"] == "noise"].groupby("participant_id")["lesion_volume_mm3"]
    within = np.sqrt(np.mean(noise.agg(lambda two: (two.iloc[0] - two.iloc[1]) ** 2 / 2)))
    assert table.loc[("noise", "all", "all"), "within_sd_mm3"] == pytest.approx(within)
    assert (folder / "repeatability.png").stat().st_size > 10_000
    record = read_repeatability(folder / REPEATABILITY_FILE)
    assert record.model_version == "lesion-segmenter/1"
    assert record.figures[0].scans == 2
    # Kept with the version, and brought to another cohort's measurements.
    kept = place.folder / "models/lesion-segmenter" / REPEATABILITY_FILE
    assert read_repeatability(kept) == record
    before = {path: path.read_bytes() for path in sorted(folder.glob("repeatability*.*"))}
    second = measuring.run(settings_of(place, *overrides))
    assert (second.done, second.kept) == (0, 2)
    assert {path: path.read_bytes() for path in before} == before
    third = settings_of(place, *overrides, "seed=5")
    scan = read_cohort(third.cohort).scans[0]
    keys = {measuring._key(scan, trained[1], s) for s in (third, settings_of(place, *overrides))}
    assert len(keys) == 2


def test_a_record_is_brought_to_measurements_that_have_none(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path
) -> None:
    version = trained[1]
    own = ModelVersion(version.name, 1, version.manifest, tmp_path / "model" / "weights")
    record = {
        "format": 1, "model_version": own.label, "source": "elsewhere",
        "figures": [{"diagnosis": "all", "noise_mm3": 1, "noise_share": 0.1, "scans": 5}],
    }  # fmt: skip
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / REPEATABILITY_FILE).write_text(json.dumps(record))
    there = tmp_path / "there"
    bring_to_measurements(own, there)
    assert read_repeatability(there / REPEATABILITY_FILE).source == "elsewhere"
    (there / REPEATABILITY_FILE).write_text("own")
    bring_to_measurements(own, there)
    assert (there / REPEATABILITY_FILE).read_text() == "own"
    other = ModelVersion(version.name, 2, version.manifest, own.weights)
    bring_to_measurements(other, tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_scans_are_spread_over_the_load_within_each_diagnosis(place: Workplace) -> None:
    settings = settings_of(place)
    cohort = read_cohort(settings.cohort)
    table = place.folder / FILE_NAME
    rows = [
        f"{scan.participant_id}\t{scan.session_id}\tlesion-segmenter/1\t{100.0 * index}"
        for index, scan in enumerate(cohort.scans)
    ]
    table.write_text(
        "\n".join(["participant_id\tsession_id\tmodel_version\tlesion_volume_mm3", *rows]) + "\n"
    )
    chosen = measuring._chosen(cohort, table, 4)
    assert [scan.key for scan in chosen] == [
        ("sub-ms01", "ses-01"), ("sub-ms04", "ses-01"),
        ("sub-nmosd01", "ses-01"), ("sub-nmosd04", "ses-01"),
    ]  # fmt: skip
    assert len(measuring._chosen(cohort, table, 0)) == len(cohort.scans)
    assert len(measuring._chosen(cohort, table, 11)) == 11


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("perturbations.pooled=[device]", "pooled"),
        ("rescans.folders=[one]", "two folders"),
        ("load_edges_mm3=[5,1]", "rise"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(
    place: Workplace, override: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        settings_of(place, override)
