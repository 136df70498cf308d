"""One training patch of a stored head: where it is cut, how it looks, what the network sees."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lesion_dynamics.preprocessing.intensity import centre_and_scale
from lesion_dynamics.segmenter.network_input import BACKGROUND_Z, BRIGHTEST_Z
from lesion_dynamics.settings.preprocessing import IntensitySettings
from lesion_dynamics.synthesis.fields import Draws
from lesion_dynamics.synthesis.head_store import MOSAIC_EDGE, MOSAIC_MARGIN, StoredHead
from lesion_dynamics.synthesis.kernels import as_input
from lesion_dynamics.synthesis.limits import GRID, MARGIN
from lesion_dynamics.synthesis.look import Look, draw_look
from lesion_dynamics.synthesis.rendering import Rendered, render
from lesion_dynamics.synthesis.tissues import Tissues

_FLUID_CUT = 0.6
_VISIBLE_NOISE, _VISIBLE_CONTRAST = 1.5, 0.06
_VISIBLE_REACH = 2  # voxels: the edge of a lesion is as visible as the brightest voxel beside it
# Brains are not normalised without error. As wide as the brightness and contrast, 0.75 to 1.25,
# that nnU-Net draws (Isensee et al. 2021, doi 10.1038/s41592-020-01008-z, supplement).
_SCALE_ERROR, _CENTRE_ERROR = 0.15, 0.2


def draw_patch(
    head: StoredHead,
    draws: Draws,
    *,
    size_voxels: int,
    lesion_fraction: float,
    intensity: IntensitySettings,
) -> tuple[Tensor, Tensor]:
    """Channels (2, n, n, n) in z units, FLAIR and T1w; reference (1, n, n, n); float32.

    lesion_fraction : share of patches centred on a lesion, where the head has any.
    intensity : the normalisation of the segmenter that is trained.
    """
    low = _corner(head, draws, size_voxels=size_voxels, lesion_fraction=lesion_fraction)
    tissues = head.tissues(low, size_voxels + 2 * MARGIN)
    look = draw_look(draws)
    rendered = render(tissues, look, draws)
    inner = (slice(MARGIN, MARGIN + size_voxels),) * 3
    visible = _visible(tissues, look)[inner].contiguous()
    reference = visible_lesions(tissues, rendered, noise=look.flair.noise)[inner] & visible
    channels = []
    brain_values = whole_brain_intensities(head, look, draws)
    for name, image in rendered.images.items():
        centre, scale = centre_and_scale(brain_values[name].numpy(), settings=intensity)
        centre, scale = with_error(centre, scale, draws)
        cut = image[inner].numpy()
        z = as_input(cut, visible.numpy(), centre, scale, BACKGROUND_Z, BRIGHTEST_Z)
        channels.append(torch.from_numpy(z))
    return torch.stack(channels), reference[None].float()


def _visible(tissues: Tissues, look: Look) -> Tensor:
    """What brain extraction leaves, (x, y, z) bool."""
    visible = tissues.exceeds("brain", 0.5)
    if look.fluid_removed:
        visible &= tissues.exceeds("fluid", _FLUID_CUT).logical_not_()
    return visible


def visible_lesions(tissues: Tissues, rendered: Rendered, *, noise: float) -> Tensor:
    """The reference, (x, y, z) bool: what no rater could see is no lesion, however it came about.

    A voxel counts where it, or a lesion voxel within two of it, stands out in the rendered FLAIR:
    blur, thick slices and bright grey matter hide what was bright enough when it was drawn.
    """
    reference = torch.zeros(tissues.shape, dtype=torch.bool)
    box, contrast = rendered.box, rendered.lesion_contrast
    if box is None or contrast is None:
        return reference
    lesion = tissues.exceeds("lesion_label", 0.5)[box]
    seen = lesion & (contrast > _VISIBLE_NOISE * noise + _VISIBLE_CONTRAST)
    for axis in range(3):  # a cube is the sum of its axes
        for _ in range(_VISIBLE_REACH):
            seen = _one_wider(seen, axis)
    reference[box] = lesion & seen
    return reference


def _one_wider(mask: Tensor, axis: int) -> Tensor:
    wider = mask.clone()
    size = mask.shape[axis]
    wider.narrow(axis, 1, size - 1).logical_or_(mask.narrow(axis, 0, size - 1))
    wider.narrow(axis, 0, size - 1).logical_or_(mask.narrow(axis, 1, size - 1))
    return wider


def with_error(centre: float, scale: float, draws: Draws) -> tuple[float, float]:
    """Centre and scale as another brain mask, scanner or atrophy would have given them."""
    return (
        centre + _CENTRE_ERROR * scale * draws.normal(),
        scale * math.exp(_SCALE_ERROR * draws.normal()),
    )


def whole_brain_intensities(head: StoredHead, look: Look, draws: Draws) -> dict[str, Tensor]:
    """Intensities (n,) of each sequence that are distributed as those of the whole brain."""
    tissues = head.mosaic_tissues()
    images = render(tissues, look, draws).images
    inner = torch.zeros((MOSAIC_EDGE,) * 3, dtype=torch.bool)
    inner[(slice(MOSAIC_MARGIN, -MOSAIC_MARGIN),) * 3] = True
    counted = inner.repeat(1, 1, tissues.shape[2] // MOSAIC_EDGE) & _visible(tissues, look)
    return {name: image[counted] for name, image in images.items()}


def _corner(
    head: StoredHead, draws: Draws, *, size_voxels: int, lesion_fraction: float
) -> list[int]:
    wants_lesion = draws.happens(lesion_fraction)
    centres = head.brain_centres
    if wants_lesion and len(head.lesion_centres):
        centres = head.lesion_centres
    centre = centres[draws.integer(len(centres))].tolist()
    # Off-centre, so that the network cannot learn that lesions lie in the middle.
    edge, reach = size_voxels + 2 * MARGIN, size_voxels // 3
    return [
        max(0, min(place + draws.integer(2 * reach + 1) - reach - edge // 2, size - edge))
        for place, size in zip(centre, GRID, strict=True)
    ]
