"""Sessions that inform each other: less noise in unchanged lesions, true change stays.

A head is drawn on the grids of three sessions at different places, with a lesion that stays and
one that grows; the segmenter's noise is added to the log odds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.temporal_evidence import from_log_odds, log_odds
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.segmenter.longitudinal import consistent_probabilities
from lesion_dynamics.settings.preprocessing import IntensitySettings

INTENSITY = IntensitySettings(lower_percentile=25, upper_percentile=75, trim=2.5)
SHAPE = (44, 44, 44)
STABLE, GROWING = (14.0, 22.0, 22.0), (31.0, 22.0, 22.0)
RADIUS = 5.0


@dataclass(frozen=True)
class Session:
    """scan : prepared. probability : of a noisy segmenter. clean : of one without noise."""

    scan: PreparedScan
    probability: Image
    clean: Image


def session(rng: np.random.Generator, *, growing_radius: float, shift: float) -> Session:
    """A head moved by ``shift`` voxels of 1.5 mm along all axes; brought back by its transform."""
    index = np.indices(SHAPE).astype(float)
    inside = np.ones(SHAPE, dtype=bool)
    for axis in range(3):
        inside &= (index[axis] > 3) & (index[axis] < 40)
    depth = np.full(SHAPE, -20.0)  # voxels into the nearest lesion
    for centre, radius in ((STABLE, RADIUS), (GROWING, growing_radius)):
        away = np.sqrt(sum((index[axis] - shift - centre[axis]) ** 2 for axis in range(3)))
        depth = np.maximum(depth, radius - away)
    texture = ndimage.gaussian_filter(np.random.default_rng(9).normal(size=SHAPE), 1.5) * 20
    bright = 60 / (1 + np.exp(-3 * depth))
    flair = 300 + texture + bright + rng.normal(0, 8, SHAPE)
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    to_participant = np.eye(4)
    to_participant[:3, 3] = -1.5 * shift
    image = Image(np.where(inside, flair, 0).astype(np.float32), affine)
    brain = Image(inside.astype(np.uint8), affine)
    odds = np.clip(2.5 * depth, -8, 6)
    uneven = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2.5)
    doubt = 2.5 * uneven / uneven.std() + 1.0 * rng.normal()
    return Session(
        PreparedScan({"FLAIR": PreparedSequence(image, np.eye(4))}, brain, to_participant),
        image.with_voxels(np.where(inside, from_log_odds(odds + doubt), 0).astype(np.float32)),
        image.with_voxels(np.where(inside, from_log_odds(odds), 0).astype(np.float32)),
    )


def participant(seed: int, radii: tuple[float, ...]) -> list[Session]:
    rng = np.random.default_rng(seed)
    return [
        session(rng, growing_radius=radius, shift=shift)
        for radius, shift in zip(radii, (0.0, 0.4, -0.7), strict=True)
    ]


def informed(sessions: list[Session]) -> list[Image]:
    return consistent_probabilities(
        [one.scan for one in sessions], [one.probability for one in sessions], intensity=INTENSITY
    )


def mean_odds(sessions: list[Session]) -> list[Image]:
    """The same with every weight 1; the shifts of these sessions are below a voxel."""
    mean = np.mean([log_odds(one.probability.voxels) for one in sessions], axis=0)
    return [one.probability.with_voxels(from_log_odds(mean)) for one in sessions]


def volume(image: Image, *, growing: bool) -> float:
    """Voxels above 0.5 in the half of the head that holds the lesion."""
    half = image.voxels[22:] if growing else image.voxels[:22]
    return float((half > 0.5).sum())


@pytest.fixture(scope="module")
def participants() -> list[tuple[list[Session], list[Image]]]:
    drawn = [participant(seed, (0.5, 3.0, 5.5)) for seed in range(3)]
    return [(sessions, informed(sessions)) for sessions in drawn]


def test_noise_of_an_unchanged_lesion_falls_by_more_than_30_percent(
    participants: list[tuple[list[Session], list[Image]]],
) -> None:
    alone = [[volume(s.probability, growing=False) for s in own] for own, _ in participants]
    shared = [[volume(image, growing=False) for image in found] for _, found in participants]
    noise = [np.sqrt(np.var(volumes, axis=1, ddof=1).mean()) for volumes in (alone, shared)]
    assert noise[1] < 0.7 * noise[0]
    true = volume(participants[0][0][0].clean, growing=False)
    assert np.mean(shared) == pytest.approx(true, rel=0.15)


def test_a_growing_lesion_keeps_its_change(
    participants: list[tuple[list[Session], list[Image]]],
) -> None:
    def change(volumes: list[list[float]]) -> float:
        return float(np.mean([own[-1] - own[0] for own in volumes]))

    alone = change([[volume(s.probability, growing=True) for s in own] for own, _ in participants])
    shared = change([[volume(i, growing=True) for i in found] for _, found in participants])
    true = change([[volume(s.clean, growing=True) for s in own] for own, _ in participants])
    assert true > 300
    assert shared > 0.9 * alone
    assert shared > 0.8 * true
    blind = change([[volume(i, growing=True) for i in mean_odds(own)] for own, _ in participants])
    assert blind < 0.5 * true  # sharing whatever the image says loses most of it


def test_a_session_without_others_keeps_its_probability_to_the_bit() -> None:
    (one, *_) = participant(1, (2.0, 2.0, 2.0))
    (found,) = informed([one])
    np.testing.assert_array_equal(found.voxels, one.probability.voxels)


def test_the_order_of_the_sessions_does_not_matter() -> None:
    sessions = participant(2, (1.0, 2.0, 4.0))
    forward, backward = informed(sessions), informed(sessions[::-1])[::-1]
    for first, second in zip(forward, backward, strict=True):
        np.testing.assert_allclose(first.voxels, second.voxels, atol=1e-6)
