"""Drawn heads on disk: one byte a voxel and map, and a mosaic that stands for the whole brain."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lesion_dynamics.atomic_files import hash_of_content, hash_of_file, write_bytes
from lesion_dynamics.npy_bytes import npy_bytes
from lesion_dynamics.settings.synthesis import HeadSettings
from lesion_dynamics.source_hash import hash_of_source
from lesion_dynamics.synthesis.fields import Draws, blur
from lesion_dynamics.synthesis.head import draw_head
from lesion_dynamics.synthesis.lesion_maps import draw_lesions
from lesion_dynamics.synthesis.limits import GRID, SYNTHESIS_SOURCE
from lesion_dynamics.synthesis.tissues import MAPS, PLACES, Tissues, as_bytes

_CENTRES = 4096
_CELL_MM = 8
_PER_CELL = 4
_SURROUNDINGS_MM, _COAT_MM = 2.5, 0.8
MOSAIC_EDGE, MOSAIC_MARGIN = 16, 4
"""Voxels of a piece of the mosaic, and how many at its border know the wrong neighbours."""
_PIECES = 56


@dataclass(frozen=True)
class StoredHead:
    """maps : (map, x, y, z) uint8. mosaic : (map, x, y, z) uint8, cubes from random places of the
    brain's box behind each other along z, so that its rows are long. Rendered, it has the
    intensities of the whole brain.

    brain_centres, lesion_centres : (n, 3) voxels to centre patches on; the second may be empty.
    """

    maps: Tensor
    mosaic: Tensor
    brain_centres: Tensor
    lesion_centres: Tensor

    def tissues(self, low: Sequence[int], size: int) -> Tissues:
        """The cube of edge ``size`` from voxel ``low``; it must lie inside the grid."""
        cut = self.maps[:, low[0] : low[0] + size, low[1] : low[1] + size, low[2] : low[2] + size]
        return Tissues(cut)

    def mosaic_tissues(self) -> Tissues:
        """The mosaic, ready to be rendered."""
        return Tissues(self.mosaic, pieces=_PIECES)


def draw_stored_head(
    draws: Draws, shape_files: Sequence[Path], settings: HeadSettings
) -> StoredHead:
    """Draw a head with its lesions and pack it."""
    head = draw_head(draws, settings)
    lesions = draw_lesions(draws, head, shape_files, settings)
    label = lesions.label.float()
    beside_the_head = {
        "brain": head.brain.float(),
        "lesion_label": label,
        "lesion_brightness": lesions.brightness,
        "lesion_surroundings": blur(label, [_SURROUNDINGS_MM] * 3),
        "ventricle_coat": blur(head.ventricle, [_COAT_MM] * 3),
    }
    packed = torch.empty((len(MAPS), *GRID), dtype=torch.uint8)
    for name, row in PLACES.items():
        values = beside_the_head[name] if name in beside_the_head else getattr(head, name)
        packed[row] = as_bytes(name, values)
    brain = torch.nonzero(head.brain).cpu()
    return StoredHead(
        maps=packed,
        mosaic=_mosaic(packed, brain, draws),
        brain_centres=brain[draws.permutation(len(brain))[:_CENTRES]],
        lesion_centres=_spread(torch.nonzero(lesions.label).cpu(), draws),
    )


def _mosaic(packed: Tensor, brain: Tensor, draws: Draws) -> Tensor:
    """Cubes whose inner part meets the brain, at places drawn evenly: so no tissue counts more."""
    low, high = brain.amin(dim=0), brain.amax(dim=0)
    inside = packed[PLACES["brain"]] > 0
    pieces: list[Tensor] = []
    while len(pieces) < _PIECES:
        corner = [
            min(int(first) + draws.integer(int(last - first) + 1), size - MOSAIC_EDGE)
            for first, last, size in zip(low, high, GRID, strict=True)
        ]
        where = tuple(slice(start, start + MOSAIC_EDGE) for start in corner)
        inner = (slice(MOSAIC_MARGIN, -MOSAIC_MARGIN),) * 3
        if bool(inside[where][inner].any()):
            pieces.append(packed[(slice(None), *where)])
    return torch.cat(pieces, dim=3)


def _spread(voxels: Tensor, draws: Draws) -> Tensor:
    """Some voxels of (n, 3), at most a few from each cell, so that specks are met as well."""
    shuffled = voxels[draws.permutation(len(voxels))]
    cells = (shuffled // _CELL_MM) @ torch.tensor([1_000_000, 1_000, 1])
    ordered, order = torch.sort(cells, stable=True)
    _, counts = torch.unique_consecutive(ordered, return_counts=True)
    starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    rank = torch.arange(len(ordered)) - starts
    kept = order[rank < _PER_CELL]
    return shuffled[kept[draws.permutation(len(kept))][:_CENTRES]]


def head_name(
    number: int, *, seed: int, shape_files: Sequence[Path], settings: HeadSettings
) -> str:
    """File name of head ``number``: a hash of all that it is made from."""
    made_from = {
        "source": hash_of_source(*SYNTHESIS_SOURCE),
        "seed": seed,
        "number": number,
        "shapes": [hash_of_file(path) for path in shape_files],
        "head": settings.model_dump(),
    }
    return f"head-{hash_of_content(made_from)[:24]}.npz"


def store_head(
    number: int, *, seed: int, shape_files: Sequence[Path], settings: HeadSettings, folder: Path
) -> Path:
    """Draw head ``number`` into ``folder``, or find it there; return its file."""
    path = folder / head_name(number, seed=seed, shape_files=shape_files, settings=settings)
    maps = path.with_suffix(".npy")
    if path.is_file() and maps.is_file():
        return path
    rng = np.random.default_rng([seed, number])
    draws = Draws(int(rng.integers(2**62)))
    head = draw_stored_head(draws, shape_files, settings)
    # Maps by themselves, so that they can be memory-mapped; the small file last: it says whole.
    write_bytes(maps, npy_bytes(head.maps.numpy()))
    small = io.BytesIO()
    np.savez(
        small,
        mosaic=head.mosaic.numpy(),
        brain_centres=head.brain_centres.numpy(),
        lesion_centres=head.lesion_centres.numpy(),
    )
    write_bytes(path, small.getvalue())
    return path


def load_head(path: Path) -> StoredHead:
    """A head of :func:`store_head`, its maps memory-mapped."""
    with np.load(path) as small:
        arrays = {name: torch.from_numpy(small[name]) for name in small.files}
    # Copy on write: torch wants writable memory, the file stays as it is.
    maps = np.load(path.with_suffix(".npy"), mmap_mode="c")
    return StoredHead(
        maps=torch.from_numpy(maps),
        mosaic=arrays["mosaic"],
        brain_centres=arrays["brain_centres"],
        lesion_centres=arrays["lesion_centres"],
    )
