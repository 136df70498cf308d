"""Anatomy, lesions and scanner against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lesion_dynamics.phantom.anatomy import load_template
from lesion_dynamics.phantom.lesion_shapes import draw_shape, render_lesions
from lesion_dynamics.phantom.lesion_sites import draw_sites
from lesion_dynamics.phantom.participant_anatomy import ParticipantAnatomy, draw_anatomy
from lesion_dynamics.phantom.protocol import draw_position, draw_protocol
from lesion_dynamics.phantom.random_streams import stream
from lesion_dynamics.phantom.scan_grid import Tissue, sample_tissue
from lesion_dynamics.phantom.scan_synthesis import Lesions, draw_appearance, synthesise
from lesion_dynamics.phantom.scanner import slab_means
from lesion_dynamics.phantom.smooth_fields import upsample_linear

VOXEL = (2.5, 2.5, 2.5)


@pytest.fixture(scope="module")
def anatomy() -> ParticipantAnatomy:
    return draw_anatomy(stream(1, "anatomy"), load_template())


@pytest.fixture(scope="module")
def tissue(anatomy: ParticipantAnatomy) -> Tissue:
    return sample_tissue(
        anatomy, load_template(), voxel_sizes_mm=VOXEL, participant_from_scanner=np.eye(4)
    )


def test_the_ventricles_are_found_and_no_sulci() -> None:
    template = load_template()
    volume = float((template.ventricle > 0.5).sum())
    assert 10_000 < volume < 35_000  # mm3 at 1 mm
    depth = np.kron(template.depth_mm, np.ones((2, 2, 2), dtype=np.float32))
    shape = template.ventricle.shape
    inside = depth[: shape[0], : shape[1], : shape[2]][template.ventricle > 0.5]
    assert np.median(inside) > 30


def test_tissue_fractions_sum_to_one_and_the_brain_has_a_human_size(tissue: Tissue) -> None:
    np.testing.assert_allclose(tissue.white + tissue.grey + tissue.fluid, 1.0, atol=1e-5)
    millilitres = tissue.brain.sum() * np.prod(VOXEL) / 1000
    assert 1300 < millilitres < 2200


def test_the_field_of_view_holds_the_whole_brain(tissue: Tissue) -> None:
    brain = tissue.volume_of(tissue.brain.astype(np.float32)) > 0
    for axis in range(3):
        for end in (0, -1):
            face = np.take(brain, end, axis=axis)
            # The template itself ends at the brain stem, below.
            assert not face.any() or (axis, end) == (2, 0)


def test_places_survive_the_way_to_the_template_and_back(anatomy: ParticipantAnatomy) -> None:
    places = stream(2, "places").uniform(-50, 50, size=(3, 100))
    back = anatomy.to_template_mm(anatomy.from_template_mm(places))
    np.testing.assert_allclose(back, places, atol=0.05)


def test_participants_differ(anatomy: ParticipantAnatomy) -> None:
    other = draw_anatomy(stream(2, "anatomy"), load_template())
    places = np.zeros((3, 1))
    assert np.abs(anatomy.to_template_mm(places) - other.to_template_mm(places)).max() > 0.3


@pytest.mark.parametrize("total", [300.0, 6000.0, 40_000.0])
def test_the_union_of_lesions_has_exactly_the_volume_of_the_course(
    anatomy: ParticipantAnatomy, tissue: Tissue, total: float
) -> None:
    rng = stream(3, "lesions")
    volumes = np.full(12, total / 12)
    centres = draw_sites(rng, "MS", volumes)
    places = anatomy.from_template_mm(centres.T).T
    shapes = [draw_shape(rng, centre) for centre in centres]
    field = render_lesions(tissue, shapes, places, volumes, total_mm3=total)
    realised = field.mask.sum() * np.prod(VOXEL)
    assert realised == pytest.approx(total, abs=0.5 * np.prod(VOXEL) + 1e-6)
    assert (field.fraction >= 0.5).sum() == field.mask.sum()
    assert not (field.mask & (tissue.fluid >= 0.5)).any()
    assert not (field.mask & ~tissue.brain).any()


def test_no_lesion_gives_an_empty_mask(tissue: Tissue) -> None:
    field = render_lesions(tissue, [], np.zeros((0, 3)), np.zeros(0), total_mm3=0.0)
    assert field.mask.sum() == 0
    assert field.fraction.max() == 0


def test_a_lesion_lies_where_its_centre_is(anatomy: ParticipantAnatomy, tissue: Tissue) -> None:
    rng = stream(4, "lesion")
    centre = np.array([28.0, -20.0, 30.0])
    place = anatomy.from_template_mm(centre[:, None]).T
    shape = draw_shape(rng, centre)
    field = render_lesions(tissue, [shape], place, np.array([2000.0]), total_mm3=2000.0)
    index = np.argwhere(tissue.volume_of(field.mask.astype(np.float32)) > 0).mean(axis=0)
    found = tissue.participant_from_voxel[:3, :3] @ index + tissue.participant_from_voxel[:3, 3]
    assert np.abs(found - place[0]).max() < 4.0


def test_ms_lesions_lie_in_white_matter_and_often_at_the_ventricles() -> None:
    template = load_template()
    centres = draw_sites(stream(5, "sites"), "MS", np.full(400, 50.0))
    index = (centres - template.origin_mm).T
    white = ndimage.map_coordinates(template.white, index, order=1)
    near = ndimage.map_coordinates(template.ventricle_distance_mm, index / 2, order=1) < 9
    assert (white > 0.4).mean() > 0.9
    assert 0.3 < near.mean() < 0.75


def test_lesions_are_bright_on_flair_and_images_are_zero_outside() -> None:
    rng = stream(6, "scan")
    template = load_template()
    anatomy = draw_anatomy(rng, template)
    volumes = np.full(10, 800.0)
    centres = draw_sites(rng, "MS", volumes)
    lesions = Lesions(
        shapes=[draw_shape(rng, centre) for centre in centres],
        centres_mm=anatomy.from_template_mm(centres.T).T,
        appearance=draw_appearance(rng, len(volumes)),
    )
    scan = synthesise(
        anatomy, template, lesions, draw_protocol(rng, voxel_size_mm=2.5), rng,
        volumes_mm3=volumes, total_mm3=8000.0,
        participant_from_scanner=draw_position(rng, degrees=5.0, millimetres=4.0),
    )  # fmt: skip
    flair, mask = scan.images["FLAIR"].voxels, scan.mask.voxels > 0
    brain = flair > 0
    score = (flair[mask].mean() - flair[brain].mean()) / flair[brain].std()
    assert 0.5 < score < 3.0
    assert (brain == (scan.images["T1w"].voxels > 0)).all()
    assert brain.sum() * scan.mask.voxel_volume_mm3 == pytest.approx(scan.brain_volume_mm3)
    assert scan.lesion_volumes_mm3.sum() > 0


def test_a_position_is_rigid() -> None:
    position = draw_position(stream(7, "position"), degrees=8.0, millimetres=5.0)
    np.testing.assert_allclose(position[:3, :3] @ position[:3, :3].T, np.eye(3), atol=1e-7)
    assert np.abs(position[:3, 3]).max() <= 5.0


def test_upsampling_reproduces_a_linear_ramp_and_slabs_are_means() -> None:
    x, y, z = np.meshgrid(np.arange(4.0), np.arange(3.0), np.arange(5.0), indexing="ij")
    fine = upsample_linear(4 * x + 8 * y - 12 * z, step=4, shape=(13, 9, 17))
    i, j, k = np.meshgrid(np.arange(13), np.arange(9), np.arange(17), indexing="ij")
    np.testing.assert_allclose(fine, i + 2 * j - 3 * k, atol=1e-4)
    means = slab_means(np.arange(5, dtype=np.float32).reshape(1, 1, 5), 2)
    assert means.ravel().tolist() == [0.5, 2.5, 4.0]
