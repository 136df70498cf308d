"""From tissue and lesions to intensities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lesion_dynamics.synthesis.fields import Draws, blur, thick_slices
from lesion_dynamics.synthesis.healthy import healthy_signals, of_distance
from lesion_dynamics.synthesis.kernels import Volume, received
from lesion_dynamics.synthesis.lesions_over import Box, lesion_box, lesions_added
from lesion_dynamics.synthesis.look import Look, SequenceLook
from lesion_dynamics.synthesis.tissues import STEPS, ZEROS, Tissues

_COIL_VOXELS = 55.0
_FINEST = 1.4
_WHITE_VOXELS, _DIRTY_VOXELS = 3.0, 16.0
_WHITE = 1  # of the coarser textures: patches, white, dirty, spots
_TABLES = of_distance(STEPS, ZEROS)
_RESOLUTION_REACH = 5
"""Voxels that point spread and shift reach; slices reach as far as they are thick."""


@dataclass(frozen=True)
class Rendered:
    """images : FLAIR and T1w intensities, (x, y, z), not normalised and not masked.

    lesion_contrast : what the lesions add to FLAIR before noise and bias, after blur and slices,
    inside `box`; nothing elsewhere. Both are None without lesions.
    """

    images: dict[str, Tensor]
    lesion_contrast: Tensor | None
    box: Box | None


def render(tissues: Tissues, look: Look, draws: Draws) -> Rendered:
    """Render a region."""
    shape = tissues.shape
    fine = draws.field(shape, scale=_FINEST)
    scales = (look.patches_voxels, _WHITE_VOXELS, _DIRTY_VOXELS, look.spots_voxels)
    textures = [draws.coarse_field(shape, scale=scale) for scale in scales]
    signals = healthy_signals(
        tissues.packed.numpy(),
        STEPS,
        ZEROS,
        _TABLES,
        fine.numpy(),
        tuple(one.planes for one in textures),
        tuple(one.start for one in textures),
        tuple(one.scale for one in textures),
        np.stack([_levels(look.flair), _levels(look.t1w)]),
    )
    box = lesion_box(tissues)
    contrast = None
    if box is not None:
        added = lesions_added(signals[0], tissues, textures[_WHITE], box, look.flair)
        lesions_added(signals[1], tissues, textures[_WHITE], box, look.t1w)
        box, contrast = _resolved_alone(added, box, tissues, look.flair)
    images = {
        name: _scanned(resolved(torch.from_numpy(signal), one, tissues.pieces), one, draws)
        for name, signal, one in zip(("FLAIR", "T1w"), signals, (look.flair, look.t1w), strict=True)
    }
    return Rendered(images, lesion_contrast=contrast, box=box)


def _scanned(signal: Tensor, look: SequenceLook, draws: Draws) -> Tensor:
    """A signal as it is received: with noise, under the coil's field, to the power of gamma."""
    noise = draws.smooth(signal.shape, width=look.noise_blur).numpy()
    field = draws.coarse_field(signal.shape, scale=_COIL_VOXELS)
    levels = np.array([look.bias, look.noise, look.gamma], dtype=np.float32)
    return torch.from_numpy(
        received(signal.numpy(), noise, field.planes, field.start, field.scale, levels)
    )


def _resolved_alone(
    added: Tensor, box: Box, tissues: Tissues, look: SequenceLook
) -> tuple[Box, Tensor]:
    """What lesions add after blur and slices, which is linear, so it can be told from the rest;
    in a box that is wide enough for it.
    """
    shape = tissues.shape
    ranges = [
        slice(max(0, one.start - _RESOLUTION_REACH), min(size, one.stop + _RESOLUTION_REACH))
        for one, size in zip(box, shape, strict=True)
    ]
    if look.slice_voxels > 1:  # where slices begin is counted from the region's first voxel
        ranges[look.slice_axis] = slice(0, shape[look.slice_axis])
    wide = torch.zeros([one.stop - one.start for one in ranges])
    inner = [slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, ranges, strict=True)]
    wide[tuple(inner)] = added
    return (ranges[0], ranges[1], ranges[2]), resolved(wide, look, tissues.pieces)


def _levels(look: SequenceLook) -> Volume:
    """What :func:`healthy_signals` takes apart."""
    levels = (
        look.cortex, look.limbic, look.nuclei, look.fluid, look.choroid, look.residue,
        look.residue_from, look.residue_mm, look.rim, look.cap, look.septum, look.dirty,
        look.cortex_texture, look.cortex_patches, look.white_texture, look.flow, look.tracts,
        look.nuclei_patches, look.specks,
    )  # fmt: skip
    return np.array(levels, dtype=np.float32)


def resolved(signal: Tensor, look: SequenceLook, pieces: int) -> Tensor:
    """Moved, blurred and cut into slices as the scanner would."""
    signal = blur(signal, look.blur_voxels, shift=look.shift_voxels)
    if look.slice_voxels > 1:
        x, y, z = signal.shape
        # Pieces behind each other along z are lines of their own there.
        lines = signal.reshape(x, y * pieces, z // pieces) if look.slice_axis == 2 else signal
        signal = thick_slices(
            lines, axis=look.slice_axis, thickness=look.slice_voxels, phase=look.slice_phase
        ).reshape(x, y, z)
    return signal
