"""What one process of the lesion maps reads of a scan: its lesions in MNI space, by region."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.cohort.bids_name import BidsName
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.displacement import read_displacement
from lesion_dynamics.imaging.geometry import same_grid
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_labels, read_mask
from lesion_dynamics.lesions.box import box_around
from lesion_dynamics.lesions.regions import RegionShare, shares_of_regions
from lesion_dynamics.lesions.tracking.interval import MAP_LABELS
from lesion_dynamics.preprocessing.mni import SPACE
from lesion_dynamics.preprocessing.mni_regions import RegionMaps, region_maps
from lesion_dynamics.preprocessing.rigid_motion import inverse
from lesion_dynamics.preprocessing.transform import Step, Warp, resample_through
from lesion_dynamics.settings.operating_point import Connectivity

_HALF = 0.5
_AROUND_MM = 2.0


@dataclass(frozen=True, slots=True)
class MniScan:
    """One scan with its native mask; change_map : what changed since the session before."""

    participant_id: str
    session_id: str
    native_mask: Path
    connectivity: Connectivity
    change_map: Path | None

    @property
    def key(self) -> tuple[str, str]:
        """``(participant_id, session_id)``."""
        return (self.participant_id, self.session_id)

    def beside(self, entities: dict[str, str], suffix: str, extension: str) -> Path:
        """A file of the same scan in the same folder."""
        name = BidsName.parse(self.native_mask.name)
        kept = {**name.entities, **entities}
        return self.native_mask.with_name(BidsName(kept, suffix, extension).filename)

    @property
    def mask(self) -> Path:
        """The mask in MNI space."""
        return self.beside({"space": SPACE}, "mask", ".nii.gz")

    @property
    def inputs(self) -> list[Path]:
        """Every file that is read, where it is there."""
        files = [self.mask, self.beside({"space": SPACE}, "mask", ".json"), self._warp]
        files += [] if self.change_map is None else [self.change_map]
        return [path for path in files if path.is_file()]

    @property
    def _warp(self) -> Path:
        name = BidsName.parse(self.native_mask.name)
        kept = {key: name.entities[key] for key in ("sub", "ses") if key in name.entities}
        found = BidsName({**kept, "space": SPACE, "desc": "warp"}, "xfm", ".nii.gz")
        return self.native_mask.with_name(found.filename)

    def steps_to_participant(self) -> tuple[Step, ...]:
        """MNI world to participant space, as the registration left it."""
        sidecar = self.beside({"space": SPACE}, "mask", ".json")
        try:
            content = json.loads(sidecar.read_text(encoding="utf-8"))
            matrix = np.array(content["ParticipantSpaceFromMNI"], dtype=np.float64)
            deformable = bool(content["Deformable"])
            if matrix.shape != (4, 4):
                raise ValueError("no matrix")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ScanError(
                "the sidecar of this mask in MNI space cannot be read", where=sidecar,
                remedy="Run infer.py again with the same mni=...: it restores what is missing.",
            ) from error  # fmt: skip
        if not deformable:
            return (matrix,)
        return (Warp(*read_displacement(self._warp)), matrix)


@dataclass(frozen=True, slots=True)
class ScanInMni:
    """lesions, new : flat indices on the template's grid, C order. new : None without tracking."""

    lesions: NDArray[np.int32]
    new: NDArray[np.int32] | None
    regions: dict[str, RegionShare]


def read_scan(scan: MniScan) -> ScanInMni:
    """Read one scan.

    Raises
    ------
    ScanError : a file is broken, or lies on another grid than the template's.
    """
    maps = region_maps()
    mask = read_mask(scan.mask)
    if not same_grid(mask.shape, mask.affine, maps.brain.shape, maps.affine):
        raise ScanError(
            "this mask does not lie on the template's grid", where=scan.mask,
            remedy="Run infer.py again with mni=affine or mni=deformable.",
        )  # fmt: skip
    return ScanInMni(
        lesions=np.flatnonzero(mask.voxels).astype(np.int32),
        new=_new_lesions(scan, maps),
        regions=shares_of_regions(
            mask.voxels,
            infratentorial=maps.infratentorial,
            near_ventricle=maps.near_ventricle,
            near_cortex=maps.near_cortex,
            connectivity=scan.connectivity,
        ),
    )


def _new_lesions(scan: MniScan, maps: RegionMaps) -> NDArray[np.int32] | None:
    """New lesions since the session before, from participant space; interpolated once."""
    if scan.change_map is None:
        return None
    changes = read_labels(scan.change_map)
    new = Image((changes.voxels == MAP_LABELS["new"]).astype(np.float32), changes.affine)
    if not new.voxels.any():
        return np.zeros(0, dtype=np.int32)
    steps = scan.steps_to_participant()
    low, high = _reached(new, steps, maps)
    affine = maps.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    share = resample_through(
        new, shape=tuple(int(n) for n in high - low), affine=affine, steps=steps,
        interpolation="linear",
    )  # fmt: skip
    index = np.argwhere(share.voxels >= _HALF) + low
    flat = np.ravel_multi_index((index[:, 0], index[:, 1], index[:, 2]), maps.brain.shape)
    return np.sort(flat).astype(np.int32)


def _reached(
    new: Image, steps: tuple[Step, ...], maps: RegionMaps
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The box of the template's voxels that new lesions can come to lie in: from, to."""
    ends = [(part.start - 1.0, float(part.stop)) for part in box_around(new.voxels > 0)]
    corners = np.array([[*corner, 1.0] for corner in itertools.product(*ends)]).T
    places, reach = new.affine @ corners, _AROUND_MM
    for step in reversed(steps):
        if isinstance(step, Warp):  # a place is found again within the largest displacement
            reach += float(np.sqrt((step.displacement_mm.astype(np.float64) ** 2).sum(-1)).max())
        else:
            places = inverse(step) @ places
    index = (inverse(maps.affine) @ places)[:3]
    shape = np.array(maps.brain.shape)
    low = np.clip(np.floor(index.min(axis=1) - reach).astype(np.int64), 0, shape - 1)
    high = np.clip(np.ceil(index.max(axis=1) + reach).astype(np.int64) + 1, low + 1, shape)
    return low, high
