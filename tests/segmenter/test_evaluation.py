"""The validation record holds every version against the same lesions, as inference writes masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.segmenter.small_training import settings
from tests.segmenter.test_network_input import scan_on

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_mask
from lesion_dynamics.lesions.operating_point_choice import ValidationScan
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.segmenter import evaluation
from lesion_dynamics.segmenter.evaluation import probabilities, validation_record
from lesion_dynamics.segmenter.networks import build_network
from lesion_dynamics.segmenter.segmenter import Segmenter
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.operating_point import OperatingPoint

SCAN = Scan("sub-01", "ses-01", images={"FLAIR": Path("flair.nii.gz")})


def record_with(minimum_mm3: float, **more: float) -> dict[str, float]:
    """Of a reference of one lesion of 64 mm3 and three of 8; the large one is found, and one more.

    Its record of the only scan.
    """
    reference = np.zeros((30, 12, 12), np.uint8)
    reference[2:6, 2:6, 2:6] = 1
    for x in (10, 15, 20):
        reference[x : x + 2, 2:4, 2:4] = 1
    probability = np.where(reference, 0.9, 0.0).astype(np.float32)
    probability[15:] = 0  # two of the small ones are missed
    scan = ValidationScan(probability, reference, 1.0)
    point = OperatingPoint(
        probability_threshold=0.5, minimum_lesion_volume_mm3=minimum_mm3, connectivity=26
    )
    found = validation_record([SCAN], ["NMOSD"], [scan], point, **more)
    assert found["sieve_mm3"] == more.get("sieve_mm3", 0.0)
    each: dict[str, float] = found["each"][0]
    return each


def test_a_larger_minimum_volume_does_not_make_the_reference_smaller() -> None:
    every, large = record_with(0.0), record_with(9.0)
    assert every["reference_volume_mm3"] == large["reference_volume_mm3"] == 64 + 3 * 8
    assert every["reference_lesion_count"] == large["reference_lesion_count"] == 4
    assert every["dice"] == pytest.approx(2 * 72 / (72 + 88))
    assert large["dice"] == pytest.approx(2 * 64 / (64 + 88))
    assert every["lesion_f1"] == pytest.approx(2 * 0.5 / 1.5)
    assert large["lesion_f1"] == pytest.approx(2 * 0.25 / 1.25)
    assert every["volume_difference_mm3"] == -16
    assert large["volume_difference_mm3"] == -24


def test_a_sieve_that_is_asked_for_holds_for_both_masks_and_is_recorded() -> None:
    found = record_with(0.0, sieve_mm3=9.0)
    assert found["reference_volume_mm3"] == found["predicted_volume_mm3"] == 64
    assert found["dice"] == 1


class Answering:
    """In place of a segmenter: one probability everywhere."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.settings = type("Settings", (), {"preprocessing": None})

    def probability(self, _: PreparedScan) -> Image:
        return Image(np.full((4, 4, 4), self.value, np.float32), np.eye(4))


def test_probabilities_are_those_that_inference_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brain = Image(np.ones((4, 4, 4), np.uint8), np.eye(4))
    ready = type("Ready", (), {"brain_mask": brain})
    monkeypatch.setattr(evaluation, "prepare_scan", lambda *_, **__: ready)
    mask = tmp_path / "reference.nii.gz"
    write_mask(mask, brain)
    scan = Scan("sub-01", "ses-01", images={"FLAIR": Path("flair.nii.gz")}, reference_mask=mask)
    # 0.599 is 152.7 steps of 1/255: the file holds 153, which is the threshold of 0.6.
    answering: object = Answering(0.599)
    (found,) = probabilities(answering, [scan], Prepared(), folder=tmp_path)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.probability, np.float32(153) * np.float32(1 / 255))
    point = OperatingPoint(probability_threshold=0.6, minimum_lesion_volume_mm3=0, connectivity=26)
    record = validation_record([scan], ["MS"], [found], point)
    assert record["each"][0]["predicted_volume_mm3"] == 64


def test_an_answer_that_is_no_number_is_no_scan_without_lesions() -> None:
    chosen = settings().segmenter
    network = build_network(chosen.network, input_channels=2)
    segmenter = Segmenter.of_network(network, chosen, device=torch.device("cpu"))
    scan = scan_on(np.eye(4), np.eye(4))
    assert np.isfinite(segmenter.probability(scan).voxels).all()
    with torch.no_grad():
        network.head.weight[0, 0] = torch.nan
    with pytest.raises(ScanError, match="no number"):
        segmenter.probability(scan)
