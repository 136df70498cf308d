"""One training patch of a stored head: where it is cut, how it looks, what the network sees."""

from __future__ import annotations

import torch
from torch import Tensor

from lesion_dynamics.preprocessing.intensity import centre_and_scale
from lesion_dynamics.settings.preprocessing import IntensitySettings
from lesion_dynamics.synthesis.fields import Draws
from lesion_dynamics.synthesis.head_store import MOSAIC_EDGE, MOSAIC_MARGIN, StoredHead
from lesion_dynamics.synthesis.limits import GRID, MARGIN
from lesion_dynamics.synthesis.look import Look, draw_look
from lesion_dynamics.synthesis.rendering import as_input, render

_FLUID_CUT = 0.6
_VISIBLE_NOISE, _VISIBLE_CONTRAST = 1.5, 0.06
_SCALE_ERROR, _CENTRE_ERROR = 0.05, 0.1


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
    images = render(tissues, look, draws)
    visible = tissues.brain > 0.5
    if look.fluid_removed:
        visible = visible & (tissues.fluid < _FLUID_CUT)
    # What no rater could see is no lesion, however it came about.
    contrast = look.flair.lesion * tissues.lesion_brightness
    seen = contrast > _VISIBLE_NOISE * look.flair.noise + _VISIBLE_CONTRAST
    inner = (slice(MARGIN, MARGIN + size_voxels),) * 3
    reference = ((tissues.lesion_label > 0.5) & seen & visible)[inner]
    channels = []
    brain_values = whole_brain_intensities(head, look, draws)
    for name in images:
        centre, scale = centre_and_scale(brain_values[name].numpy(), settings=intensity)
        # The mosaic is no whole brain, and brains are not normalised without error either.
        centre += _CENTRE_ERROR * scale * draws.normal()
        scale *= 1 + _SCALE_ERROR * draws.normal()
        channels.append(as_input(images[name][inner], visible[inner], centre=centre, scale=scale))
    return torch.stack(channels), reference[None].float()


def whole_brain_intensities(head: StoredHead, look: Look, draws: Draws) -> dict[str, Tensor]:
    """Intensities (n,) of each sequence that are distributed as those of the whole brain."""
    tissues = head.mosaic_tissues()
    images = render(tissues, look, draws)
    inner = torch.zeros((MOSAIC_EDGE,) * 3, dtype=torch.bool)
    inner[(slice(MOSAIC_MARGIN, -MOSAIC_MARGIN),) * 3] = True
    counted = inner.repeat(tissues.brain.shape[0] // MOSAIC_EDGE, 1, 1) & (tissues.brain > 0.5)
    if look.fluid_removed:
        counted &= tissues.fluid < _FLUID_CUT
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
