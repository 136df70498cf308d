"""What preprocessing promises, on scans of one synthetic person whose truth is known.

Two sessions of the same brain with 60 lesions: other noise, other bias field, another position
in the scanner; 2 mm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.preprocessing.motions import displacement, motion, turned_degrees

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.phantom.anatomy import load_template
from lesion_dynamics.phantom.lesion_shapes import draw_shape
from lesion_dynamics.phantom.lesion_sites import draw_sites
from lesion_dynamics.phantom.participant_anatomy import draw_anatomy
from lesion_dynamics.phantom.protocol import study_protocol
from lesion_dynamics.phantom.random_streams import stream
from lesion_dynamics.phantom.scan_grid import sample_tissue
from lesion_dynamics.phantom.scan_synthesis import (
    Lesions,
    SyntheticScan,
    draw_appearance,
    synthesise,
)
from lesion_dynamics.preprocessing.bias_field import find_bias_field, without_bias_field
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.preprocessing.sessions import align_sessions
from lesion_dynamics.preprocessing.transform import resample_through
from lesion_dynamics.settings.preprocessing import PreprocessingSettings

VOXEL_MM = 2.0
SPACING_MM = 0.9  # of the common space
POSITIONS = (motion([2.0, -3.0, 1.0], [3.0, -1.0, 2.0]), motion([-4.0, 2.0, 5.0], [-4.0, 3.0, 1.0]))
"""The scanner's space to the participant's, a session."""


def scanned(session: int, *, bias: float) -> SyntheticScan:
    template = load_template()
    anatomy = draw_anatomy(stream(5, "anatomy"), template)
    rng = stream(5, "lesions")
    volumes = np.exp(rng.normal(4.5, 1.0, 60))
    centres = draw_sites(rng, "MS", volumes)
    lesions = Lesions(
        shapes=[draw_shape(rng, centre) for centre in centres],
        centres_mm=anatomy.from_template_mm(centres.T).T,
        appearance=draw_appearance(rng, len(volumes)),
    )
    site = study_protocol("alpha3T", voxel_size_mm=VOXEL_MM)
    return synthesise(
        anatomy,
        template,
        lesions,
        replace(site, flair=replace(site.flair, bias=bias)),
        stream(5, "session", str(session)),
        volumes_mm3=volumes,
        total_mm3=float(volumes.sum()),
        participant_from_scanner=POSITIONS[session],
    )


@pytest.fixture(scope="module")
def biased() -> tuple[SyntheticScan, SyntheticScan]:
    return scanned(0, bias=0.08), scanned(1, bias=0.08)


def brain_of(scan: SyntheticScan) -> Image:
    flair = scan.images["FLAIR"]
    return flair.with_voxels((flair.voxels > 0).astype(np.uint8))


def white_matter() -> np.ndarray:
    """Voxels of the first session that are white matter and nothing else."""
    tissue = sample_tissue(
        draw_anatomy(stream(5, "anatomy"), load_template()),
        load_template(),
        voxel_sizes_mm=(VOXEL_MM,) * 3,
        participant_from_scanner=POSITIONS[0],
    )
    pure: np.ndarray = tissue.volume_of(tissue.white) > 0.98
    return pure


def test_n4_makes_white_matter_as_even_as_it_was_before_the_field(
    biased: tuple[SyntheticScan, SyntheticScan], settings: PreprocessingSettings
) -> None:
    flat = scanned(0, bias=0.0)
    normal = white_matter() & (flat.mask.voxels == 0) & (biased[0].mask.voxels == 0)

    def variation(image: Image) -> float:
        values = image.voxels[normal]
        return float(values.std() / values.mean())

    flair = biased[0].images["FLAIR"]
    field = find_bias_field(flair, brain_of(biased[0]), settings=settings.bias_field)
    undistorted = variation(flat.images["FLAIR"])
    assert variation(flair) > 1.5 * undistorted
    assert variation(without_bias_field(flair, field)) < 1.10 * undistorted


@pytest.fixture(scope="module")
def aligned(
    biased: tuple[SyntheticScan, SyntheticScan], settings: PreprocessingSettings, no_drift: None
) -> list[PreparedScan]:
    prepared = [
        PreparedScan(
            {"FLAIR": PreparedSequence(scan.images["FLAIR"], np.eye(4))},
            brain_of(scan),
            np.eye(4),
        )
        for scan in biased
    ]
    return align_sessions(prepared, settings=settings.registration)


def test_the_persons_motion_between_sessions_is_recovered(aligned: list[PreparedScan]) -> None:
    first, second = aligned
    found = np.linalg.inv(second.to_participant) @ first.to_participant
    truth = np.linalg.inv(POSITIONS[1]) @ POSITIONS[0]
    assert displacement(found, truth, first.brain_mask) < 0.1
    assert turned_degrees(found, truth) < 0.1


def test_a_lesion_mask_goes_to_the_common_space_and_home_again(
    biased: tuple[SyntheticScan, SyntheticScan], aligned: list[PreparedScan]
) -> None:
    for scan, prepared in zip(biased, aligned, strict=True):
        mask = scan.mask
        share = mask.with_voxels(mask.voxels.astype(np.float32))
        corner = prepared.to_participant @ mask.affine @ np.array([0, 0, 0, 1.0])
        grid = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
        grid[:3, 3] = corner[:3] - 15
        shape = tuple(int(size * VOXEL_MM / SPACING_MM + 40) for size in mask.shape)
        there = resample_through(
            share,
            shape=shape,
            affine=grid,
            steps=prepared.steps_to_image("FLAIR"),
            interpolation="linear",
        )
        cut = there.with_voxels((there.voxels >= 0.5).astype(np.float32))
        home = resample_through(
            cut,
            shape=mask.shape,
            affine=mask.affine,
            steps=prepared.steps_to_participant,
            interpolation="linear",
        )
        back, sent = home.voxels >= 0.5, mask.voxels > 0
        assert sent.sum() * mask.voxel_volume_mm3 > 5_000
        assert abs(int(back.sum()) / int(sent.sum()) - 1) < 0.01
        assert 2 * (back & sent).sum() / (back.sum() + sent.sum()) >= 0.97
