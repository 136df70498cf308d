"""To MNI space and back: a known deformation is found, and lesions do not pull at it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy import ndimage
from tests.preprocessing.motions import motion

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing import mni
from lesion_dynamics.preprocessing.mni import (
    MniTransform,
    from_mni,
    mni_template,
    register_to_mni,
    to_mni,
)
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.preprocessing.transform import Warp, moved, resample_through

AFFINE = motion([4, -3, 6], [5, -4, 3]) @ np.diag([0.95, 1.03, 0.97, 1.0])
LESIONS_MM = [(-25, -10, 25), (25, -5, 25), (-22, -40, 28), (24, -38, 26), (20, 20, 22)]


@pytest.fixture(scope="module", autouse=True)
def coarse() -> Iterator[None]:
    """Registered at 4 mm, written at 2 mm: the tests take seconds instead of minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mni, "_REGISTERED_AT_MM", 4)
        patch.setattr(mni, "_WRITTEN_AT_MM", 2)
        yield


@pytest.fixture(scope="module")
def deformation() -> Warp:
    """MNI to participant before AFFINE: smooth, up to about 8 mm."""
    template = mni_template(4)
    nodes = tuple(size * 4 // 20 + 2 for size in template.brain.shape)
    drawn = np.random.default_rng(0).normal(0, 1, (*nodes, 3))
    smooth = ndimage.gaussian_filter(drawn, (1.2, 1.2, 1.2, 0))
    start = template.brain.affine @ np.diag([5.0, 5.0, 5.0, 1.0])
    return Warp((smooth * 2.0 / smooth.std()).astype(np.float32), start)


@pytest.fixture(scope="module")
def scan(deformation: Warp) -> PreparedScan:
    """The template's brain as a participant: deformed, turned, scaled, with noise, 3 mm."""
    template = mni_template(2)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = template.brain.affine[:3, 3] - 6
    shape = tuple(int(size * 2 / 3 + 6) for size in template.brain.shape)

    def seen(image: Image, nearest: bool = False) -> Image:
        return resample_through(
            image,
            shape=shape,
            affine=affine,
            steps=(np.linalg.inv(AFFINE), deformation.inverse()),
            interpolation="nearest" if nearest else "linear",
        )

    brain = seen(template.brain, nearest=True)
    rng = np.random.default_rng(1)
    sequences = {}
    for name, image in (("FLAIR", template.flair), ("T1w", template.t1w)):
        own = seen(image).voxels / image.voxels.max() * 500 + rng.normal(0, 8, shape)
        voxels = np.where(brain.voxels > 0, own, 0).astype(np.float32)
        sequences[name] = PreparedSequence(Image(voxels, affine), np.eye(4))
    return PreparedScan(sequences, brain, np.eye(4))


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """Places in the template's brain, (3, n)."""
    brain = mni_template(4).brain
    index = np.argwhere(brain.voxels > 0)[::7].T
    places: np.ndarray = brain.affine[:3, :3] @ index + brain.affine[:3, 3:]
    return places


@pytest.fixture(scope="module")
def lesions(scan: PreparedScan, deformation: Warp) -> Image:
    """Five balls of 8 mm around the ventricles, on the native grid."""
    brain = scan.brain_mask
    index = np.indices(brain.shape).reshape(3, -1)
    world = brain.affine[:3, :3] @ index + brain.affine[:3, 3:]
    ill = np.zeros(index.shape[1], dtype=bool)
    for place in LESIONS_MM:
        centre = moved(np.array(place, dtype=float)[:, None], (deformation, AFFINE))
        ill |= np.linalg.norm(world - centre, axis=0) < 8
    return brain.with_voxels(ill.reshape(brain.shape).astype(np.uint8))


def with_lesions(scan: PreparedScan, lesions: Image) -> PreparedScan:
    """Bright in FLAIR, dark in T1w."""
    ill = lesions.voxels > 0
    factors = {"FLAIR": 2.0, "T1w": 0.4}
    sequences = {
        name: PreparedSequence(
            sequence.image.with_voxels(
                np.where(ill, sequence.image.voxels * factors[name], sequence.image.voxels)
            ),
            np.eye(4),
        )
        for name, sequence in scan.sequences.items()
    }
    return PreparedScan(sequences, scan.brain_mask, scan.to_participant)


def apart(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.linalg.norm(first - second, axis=0).mean())


def flair_only(scan: PreparedScan) -> PreparedScan:
    return PreparedScan({"FLAIR": scan.flair}, scan.brain_mask, scan.to_participant)


@pytest.fixture(scope="module")
def deformable(scan: PreparedScan) -> MniTransform:
    return register_to_mni(scan, kind="deformable")


def test_a_known_deformation_is_found_and_undone(
    scan: PreparedScan, deformable: MniTransform, points: np.ndarray, deformation: Warp
) -> None:
    truth = moved(points, (deformation, AFFINE))
    affine = register_to_mni(scan, kind="affine")
    assert affine.warp is None
    found = moved(points, deformable.steps_to_participant)
    error = apart(found, truth)
    assert error < 0.6 * apart(moved(points, affine.steps_to_participant), truth)
    assert error < 1.5  # registered at 4 mm
    assert apart(moved(found, deformable.steps_to_mni), points) < 0.1


def test_without_t1w_the_flair_finds_the_same_place(
    scan: PreparedScan, points: np.ndarray, deformation: Warp
) -> None:
    transform = register_to_mni(flair_only(scan), kind="affine")
    truth = moved(points, (deformation, AFFINE))
    flair = apart(moved(points, transform.steps_to_participant), truth)
    t1w = apart(moved(points, register_to_mni(scan, kind="affine").steps_to_participant), truth)
    assert flair < 1.2 * t1w


def test_masked_lesions_hardly_move_the_registration(
    scan: PreparedScan, deformable: MniTransform, lesions: Image, points: np.ndarray
) -> None:
    ill = with_lesions(scan, lesions)
    healthy = moved(points, deformable.steps_to_participant)
    masked = register_to_mni(ill, kind="deformable", lesions=lesions)
    unmasked = register_to_mni(ill, kind="deformable")
    shift = apart(moved(points, masked.steps_to_participant), healthy)
    assert shift < 0.3
    assert shift < 0.5 * apart(moved(points, unmasked.steps_to_participant), healthy)


def test_the_participants_place_does_not_matter(scan: PreparedScan, points: np.ndarray) -> None:
    turned = PreparedScan(scan.sequences, scan.brain_mask, motion([12, 5, -8], [30, -50, 20]))
    first = register_to_mni(scan, kind="affine")
    second = register_to_mni(turned, kind="affine")
    native = moved(
        moved(points, second.steps_to_participant), (np.linalg.inv(turned.to_participant),)
    )
    assert apart(native, moved(points, first.steps_to_participant)) < 0.3


def test_a_mask_goes_to_mni_and_home_again(
    scan: PreparedScan, deformable: MniTransform, lesions: Image
) -> None:
    there = to_mni(lesions, scan, deformable, interpolation="linear")
    assert there.shape == mni_template(2).brain.shape
    home = from_mni(there, scan, deformable, interpolation="linear").voxels >= 0.5
    sent = lesions.voxels > 0
    assert 2 * (home & sent).sum() / (home.sum() + sent.sum()) > 0.95
    nearest = to_mni(lesions, scan, deformable, interpolation="nearest")
    assert set(np.unique(nearest.voxels)) == {0, 1}
    # Where it lies in MNI space is where it was put.
    centre = np.argwhere(there.voxels >= 0.5).mean(axis=0)
    world = there.affine[:3, :3] @ centre + there.affine[:3, 3]
    assert np.linalg.norm(world - np.mean(LESIONS_MM, axis=0)) < 3
