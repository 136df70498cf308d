from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lesion_dynamics.preprocessing.intensity import centre_and_scale, normalise_intensities
from lesion_dynamics.settings.preprocessing import IntensitySettings
from lesion_dynamics.synthesis.fields import Draws, blur
from lesion_dynamics.synthesis.head_store import StoredHead
from lesion_dynamics.synthesis.healthy import LIMBIC_WHITE
from lesion_dynamics.synthesis.lesions_over import lesion_box, lesions_added
from lesion_dynamics.synthesis.limits import GRID
from lesion_dynamics.synthesis.look import Look, SequenceLook, draw_look
from lesion_dynamics.synthesis.patch_drawing import visible_lesions, whole_brain_intensities
from lesion_dynamics.synthesis.rendering import render, resolved
from lesion_dynamics.synthesis.tissues import Tissues


def plain(look: SequenceLook) -> SequenceLook:
    """The same contrasts without anything else."""
    return replace(
        look, halo=0.0, edge_voxels=0.0, rim=0.0, cap=0.0, septum=0.0, dirty=0.0,
        cortex_texture=0.0, cortex_patches=0.0, nuclei_patches=0.0, specks=0.0, tracts=0.0,
        limbic=0.0, white_texture=0.0, flow=0.0,
        blur_voxels=(0.0, 0.0, 0.0), slice_voxels=1.0, bias=0.0, noise=0.0, noise_blur=0.0,
        gamma=1.0, shift_voxels=(0.0, 0.0, 0.0), residue_from=99.0, choroid=look.fluid,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tissues(stored: StoredHead) -> Tissues:
    """A cube in the middle of the head, with a lesion of 8 x 8 x 8 mm in white matter."""
    size = 64
    found = stored.tissues([(n - size) // 2 for n in GRID], size)
    # Where white matter is widest: the lesion then lies in it alone.
    whiteness = blur(found.map_of("white"), [3.0] * 3)[8:-8, 8:-8, 8:-8]
    x, y, z = (int(i) + 8 for i in np.unravel_index(int(whiteness.argmax()), whiteness.shape))
    label = torch.zeros((size,) * 3)
    label[x - 4 : x + 4, y - 4 : y + 4, z - 4 : z + 4] = 1
    return found.with_maps(
        {
            "lesion_label": label,
            "lesion_brightness": torch.full((size,) * 3, 1.2),
            "lesion_surroundings": blur(label, [2.5] * 3),
        }
    )


def test_a_lesion_has_its_contrast_over_white_matter(tissues: Tissues) -> None:
    look = draw_look(Draws(1))
    look = Look(plain(look.flair), replace(plain(look.t1w), lesion=-0.3), fluid_removed=False)
    images = render(tissues, look, Draws(2)).images
    inside = tissues.exceeds("lesion_label", 0.5) & tissues.exceeds("white", 0.9)
    assert inside.any()
    expected = 1 + 1.2 * look.flair.lesion * (1 + 0.12 * 0)
    # Brightness is uneven inside a lesion by about an eighth.
    assert float(images["FLAIR"][inside].mean()) == pytest.approx(expected, rel=0.1)
    assert float(images["T1w"][inside].mean()) == pytest.approx(1 - 1.2 * 0.3, rel=0.1)
    white = tissues.exceeds("white", 0.99) & ~tissues.exceeds("lesion_label", 0.5)
    torch.testing.assert_close(
        images["FLAIR"][white], torch.ones(int(white.sum())), atol=0.02, rtol=0
    )


def test_what_slices_and_noise_hide_is_no_lesion(tissues: Tissues) -> None:
    """A lesion of one voxel is lost in slices of 5 mm; the block of 8 x 8 x 8 mm is not."""
    label = tissues.map_of("lesion_label")
    block = torch.nonzero(label).float().mean(dim=0).round().long().tolist()
    white = tissues.exceeds("white", 0.98) & (blur(label, [3.0] * 3) < 0.001)
    white[:6], white[-6:], white[:, :6], white[:, -6:] = False, False, False, False
    speck = tuple(torch.nonzero(white)[0].tolist())
    label[speck] = 1
    tissues = tissues.with_maps(
        {"lesion_label": label, "lesion_brightness": torch.ones_like(label)}
    )
    look = draw_look(Draws(1))
    flair = replace(plain(look.flair), lesion=0.4)
    thin = Look(flair, plain(look.t1w), fluid_removed=False)
    thick = replace(thin, flair=replace(flair, slice_voxels=5.0, slice_axis=2))

    def reference(look: Look, noise: float) -> torch.Tensor:
        return visible_lesions(tissues, render(tissues, look, Draws(2)), noise=noise)

    assert torch.equal(reference(thin, 0.0), label > 0)
    hidden = reference(thick, 0.05)
    assert not bool(hidden[speck])
    assert bool(hidden[tuple(block)])
    # The contrast of 0.4 minus the floor of 0.06 is 1.5 times a noise of 0.227.
    assert bool(reference(thin, 0.15)[speck])
    # Texture makes a lesion uneven by an eighth: a contrast of 0.66 is 5 deviations away.
    assert not bool(reference(thin, 0.4).any())


def test_artefacts_add_what_they_say(tissues: Tissues) -> None:
    look = draw_look(Draws(1))
    base = Look(plain(look.flair), plain(look.t1w), fluid_removed=False)
    noisy = replace(base, flair=replace(base.flair, noise=0.05))
    difference = render(tissues, noisy, Draws(3)).images["FLAIR"]
    difference = difference - render(tissues, base, Draws(3)).images["FLAIR"]
    bright = tissues.exceeds("white", 0.9)
    assert float(difference[bright].std()) == pytest.approx(0.05, rel=0.05)


def test_the_limbic_lobe_and_the_nuclei_are_uneven_from_place_to_place(stored: StoredHead) -> None:
    # Means as the look says. Textures deviate by 1 where they are drawn and by about 0.65 over
    # all voxels, between which they are interpolated; the nuclei have two of them.
    size = 96
    tissues = stored.tissues([(n - size) // 2 for n in GRID], size)
    tissues = tissues.with_maps({"lesion_label": torch.zeros((size,) * 3)})
    flair = replace(plain(draw_look(Draws(1)).flair), specks=0.0, nuclei_patches=0.0, tracts=0.0)
    flair = replace(flair, limbic=0.0, cortex=1.2, nuclei=1.1)

    def added(one: SequenceLook, seed: int) -> torch.Tensor:
        first, second = (
            render(tissues, Look(look, flair, fluid_removed=False), Draws(seed)).images["FLAIR"]
            for look in (one, flair)
        )
        return first - second

    cortex, other, white = (tissues.map_of(name) for name in ("cortex", "nuclei", "white"))
    grey, place = cortex + other, tissues.map_of("limbic")
    share = place * (cortex + place * other + float(LIMBIC_WHITE) * white)
    lobe = (place > 0.8) & (grey > 0.9)
    nuclei = tissues.exceeds("nuclei", 0.9) & ~tissues.exceeds("limbic", 0.02)
    assert lobe.sum() > 500
    assert nuclei.sum() > 500
    bright = replace(flair, limbic=0.2)
    limbic = torch.cat([(added(bright, seed) / share)[lobe] for seed in range(12)])
    assert float(limbic.mean()) == pytest.approx(0.2, rel=0.1)
    assert float(limbic.std()) == pytest.approx(0.2 * 0.5 * 0.65, rel=0.2)
    patches = replace(flair, nuclei_patches=0.1)
    uneven = torch.cat([added(patches, seed)[nuclei] for seed in range(12)])
    assert float(uneven.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(uneven.std()) == pytest.approx(1.1 * 0.1 * 2**0.5 * 0.65, rel=0.2)


def test_patches_are_normalised_as_their_whole_brain_would_be(stored: StoredHead) -> None:
    """The mosaic against the preprocessing of real scans on whole renderings of the head."""
    settings = IntensitySettings(lower_percentile=20.0, upper_percentile=80.0)
    whole = stored.tissues([0, 16, 0], 160)
    brain = whole.exceeds("brain", 0.5).numpy()
    place = np.flatnonzero(brain)[::200]
    centre_errors, scale_errors = [], []
    for seed in range(1, 8):
        look = replace(draw_look(Draws(seed)), fluid_removed=False)
        image = render(whole, look, Draws(100 + seed)).images["FLAIR"].numpy()
        z = normalise_intensities(image, brain, settings=settings)
        slope, offset = np.polyfit(image.ravel()[place], z.ravel()[place], 1)
        values = whole_brain_intensities(stored, look, Draws(seed))["FLAIR"]
        centre, scale = centre_and_scale(values.numpy(), settings=settings)
        centre_errors.append((centre + offset / slope) * slope)
        scale_errors.append(np.log(scale * slope))
    assert np.median(np.abs(centre_errors)) < 0.3
    assert np.median(np.abs(scale_errors)) < 0.2  # as large as the error that is drawn on purpose
    assert abs(np.median(scale_errors)) < 0.1


def test_the_contrast_of_lesions_is_what_is_missing_without_them(tissues: Tissues) -> None:
    """Rendered in its own box, it is the difference of two whole renderings, slices and all."""
    none = torch.zeros(tissues.shape)
    healthy = tissues.with_maps({"lesion_label": none, "lesion_surroundings": none})
    look = draw_look(Draws(1))
    for axis in range(3):
        flair = replace(look.flair, slice_voxels=3.3, slice_axis=axis, slice_phase=0.4, noise=0.0)
        flair = replace(flair, bias=0.0, gamma=1.0)
        found = render(tissues, replace(look, flair=flair), Draws(2))
        without = render(healthy, replace(look, flair=flair), Draws(2))
        assert without.lesion_contrast is None
        assert found.lesion_contrast is not None
        contrast = torch.zeros(tissues.shape)
        contrast[found.box] = found.lesion_contrast
        difference = found.images["FLAIR"] - without.images["FLAIR"]
        assert float(difference.abs().max()) > 0.2
        torch.testing.assert_close(contrast, difference, atol=2e-5, rtol=0)


def test_outside_their_box_lesions_add_nothing(stored: StoredHead) -> None:
    """With the widest edge: what is added in the whole region is what is added in the box.

    Around the smallest lesions the stored surroundings are rounded away, so here there are none.
    """
    tissues = stored.tissues(np.maximum(stored.lesion_centres[0].numpy() - 20, 0).tolist(), 40)
    label = torch.zeros(tissues.shape)
    label[19:21, 20:22, 18:23] = 1
    tissues = tissues.with_maps(
        {"lesion_label": label, "lesion_surroundings": torch.zeros(tissues.shape)}
    )
    look = replace(draw_look(Draws(1)).flair, edge_voxels=1.2, halo=0.3)
    uneven = Draws(2).coarse_field(tissues.shape, scale=3.0)
    healthy = np.ones(tissues.shape, np.float32)
    box = lesion_box(tissues)
    assert box is not None
    whole = (slice(0, 40), slice(0, 40), slice(0, 40))
    parts = [healthy.copy(), healthy.copy()]
    for part, where in zip(parts, (box, whole), strict=True):
        lesions_added(part, tissues, uneven, where, look)
    assert float(np.abs(parts[1] - 1).max()) > 0.1
    np.testing.assert_allclose(parts[0], parts[1], atol=1e-6)


def test_slices_end_between_the_pieces_of_a_mosaic() -> None:
    look = replace(plain(draw_look(Draws(1)).flair), slice_voxels=3.0, slice_axis=2)
    two = torch.cat([torch.zeros(3, 3, 8), torch.ones(3, 3, 8)], dim=2)
    torch.testing.assert_close(resolved(two, look, pieces=2), two)
    assert not torch.allclose(resolved(two, look, pieces=1), two, atol=0.1)


def test_textures_have_the_scales_of_the_look(tissues: Tissues) -> None:
    """Neighbours three voxels apart in grey matter agree the more, the coarser the texture is."""
    tissues = tissues.with_maps({"lesion_label": torch.zeros(tissues.shape)})
    flair = replace(plain(draw_look(Draws(1)).flair), cortex=1.2, nuclei=1.2)
    grey = tissues.map_of("cortex") + tissues.map_of("nuclei") > 0.95
    both = grey[3:] & grey[:-3]

    def agreement(one: SequenceLook, **scales: float) -> float:
        drawn = Look(one, flair, fluid_removed=False, **scales)
        images = render(tissues, drawn, Draws(8)).images["FLAIR"]
        pairs = torch.stack([images[3:][both], images[:-3][both]])
        return float(torch.corrcoef(pairs)[0, 1])

    for texture, scale, fine, coarse in (
        ("specks", "spots_voxels", 2.2, 5.0), ("cortex_patches", "patches_voxels", 7.0, 20.0)
    ):  # fmt: skip
        one = replace(flair, **{texture: 0.1})
        near, far = (agreement(one, **{scale: value}) for value in (fine, coarse))
        assert far > near + 0.1, texture
