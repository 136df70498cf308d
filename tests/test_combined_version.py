"""Ensembles and mirrored scans: names, refusals, and the mean itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lesion_dynamics.combined_version import combined, members_of, tta_of
from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.model_version import (
    LONGITUDINAL,
    ModelVersion,
    folder_name_of,
    load_manifest,
)
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.records.ensembles import resolve_all
from lesion_dynamics.records.shipped import SHIPPED_FOLDER
from lesion_dynamics.segmenter.segmenter import Segmenter
from lesion_dynamics.segmenter.tiling import Tiling
from lesion_dynamics.settings.engine import TestTimeAugmentation
from lesion_dynamics.settings.tracking import TrackingSettings


def version(number: int, *, point: float = 0.5, **changes: object) -> ModelVersion:
    manifest = load_manifest(SHIPPED_FOLDER)
    manifest = manifest.model_copy(
        update={
            "weights_sha256": f"{number:064d}",
            "segmenter": manifest.segmenter.model_copy(update=changes),
            "operating_point": manifest.operating_point.model_copy(
                update={"probability_threshold": point}
            ),
        }
    )
    return ModelVersion("seg", number, manifest, SHIPPED_FOLDER / "weights.safetensors")


def test_one_version_alone_is_itself() -> None:
    one = version(1)
    assert combined([one], tta="none") is one
    assert members_of(one) == (one,)
    assert tta_of(one) == "none"


def test_names_hash_and_operating_point() -> None:
    first, second = version(1, point=0.3), version(2, point=0.7)
    both = combined([first, second], tta="flips")
    assert both.label == "seg/1+seg/2+flips"
    assert both.folder_name == "seg-v1+seg-v2+flips"
    together = replace(both, mode=LONGITUDINAL)
    for one in (first, both, together):
        assert folder_name_of(one.label) == one.folder_name
    assert both.manifest.operating_point == first.manifest.operating_point
    assert combined([first], tta="flips").label == "seg/1+flips"
    hashes = {
        combined(members, tta="none").manifest.weights_sha256
        for members in ([first], [first, second], [second, first])
    }
    assert len(hashes) == 3


def test_members_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ModelVersionError, match=r"seg/1\+seg/2.*differ in spacing_mm"):
        combined([version(1), version(2, spacing_mm=2.0)], tta="none")
    with pytest.raises(ModelVersionError, match="names seg/1 twice"):
        combined([version(1), version(1)], tta="none")


def test_a_reference_names_one_version_or_several(tmp_path: Path) -> None:
    tracking = TrackingSettings(folder=tmp_path / "tracking", experiment="e")
    one = resolve_all("lesion-baseline/1", tracking)
    assert one.label == "lesion-baseline/1"
    assert resolve_all("lesion-baseline/1", tracking, tta="flips").label == (
        "lesion-baseline/1+flips"
    )
    with pytest.raises(ModelVersionError, match="no model version 7"):
        resolve_all("lesion-baseline/1+lesion-baseline/7", tracking)


class Known:
    """An engine whose probability is `factor` times a ramp from left to right of its window."""

    divisor = 8
    described = "known"

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def probability(self, channels: NDArray[np.float32], tiling: Tiling) -> NDArray[np.float32]:
        ramp = np.linspace(0, 1, channels.shape[1], dtype=np.float32)
        return np.broadcast_to(self.factor * ramp[:, None, None], channels.shape[1:]).copy()


@pytest.fixture
def scan() -> PreparedScan:
    """A block of brain whose network grid, 4 mm wider all around, is a multiple of 8."""
    rng = np.random.default_rng(1)
    image = Image(rng.normal(100, 10, size=(24, 24, 24)).astype(np.float32), np.eye(4))
    brain = np.zeros((24, 24, 24), dtype=np.uint8)
    brain[4:20, 4:19, 4:19] = 1
    return PreparedScan(
        sequences={"FLAIR": PreparedSequence(image, np.eye(4))},
        brain_mask=image.with_voxels(brain),
        to_participant=np.eye(4),
    )


def mean_of(scan: PreparedScan, *factors: float, tta: TestTimeAugmentation) -> NDArray[np.float32]:
    settings = load_manifest(SHIPPED_FOLDER).segmenter
    segmenter = Segmenter([Known(factor) for factor in factors], settings, tta=tta)
    found = segmenter.probability(scan).voxels
    return np.asarray(found[4:20, 10, 10])


def test_an_ensemble_is_the_mean_of_its_members(scan: PreparedScan) -> None:
    one, other = mean_of(scan, 0.2, tta="none"), mean_of(scan, 0.8, tta="none")
    assert np.ptp(one) > 0.1
    both = mean_of(scan, 0.2, 0.8, tta="none")
    np.testing.assert_allclose(both, (one + other) / 2, rtol=1e-6)


def test_flips_average_the_scan_and_its_mirror_image_at_the_same_places(
    scan: PreparedScan,
) -> None:
    alone = mean_of(scan, 0.6, tta="none")
    assert (np.diff(alone) > 0).all()
    # A ramp and its mirror image have the mean of both ends everywhere.
    np.testing.assert_allclose(mean_of(scan, 0.6, tta="flips"), 0.3, atol=0.02)


def test_a_member_keeps_its_own_weights() -> None:
    both = combined([version(1), replace(version(2), weights=Path("other"))], tta="none")
    assert [one.weights.name for one in members_of(both)] == ["weights.safetensors", "other"]
