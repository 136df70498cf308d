"""Prepared training scans on disk: memory-mapped arrays that a patch is cut from in under 1 ms.

One folder a scan, written whole or not at all, named by the hash of everything it was made
from; a changed image, mask or setting makes another folder.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from lesion_dynamics.atomic_files import (
    hash_of_content,
    hash_of_file,
    partial_prefix,
    translated_disk_errors,
    write_json,
)
from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.lesions.operating_point import label_lesions
from lesion_dynamics.npy_bytes import npy_bytes
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.preprocessing.steps import COMPUTED, Steps
from lesion_dynamics.segmenter.network_input import network_input, on_network_grid
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.operating_point import LESION_CONNECTIVITY
from lesion_dynamics.settings.segmenter import SegmenterSettings
from lesion_dynamics.source_hash import hash_of_source

_SOURCE = ("imaging", "preprocessing", "segmenter/network_input", "segmenter/training_scans")
_BRAIN_CENTRES = 20_000
_HASHES_FILE = "hashes.json"
_LOOKALIKE_DISTANCE_MM = 3.0
_LOOKALIKE_SHARE = 0.02
"""Share of the brain that counts as look-alike: its brightest voxels."""


@dataclass(frozen=True, slots=True)
class TrainingScan:
    """One prepared, labelled scan.

    folder : holds channels.npy (sequences, x, y, z) float16 in z units, reference.npy
        (x, y, z) uint8, and voxel indices to centre patches on: lesion_voxels.npy (n, 3), lesion
        after lesion, with their numbers of voxels in lesion_sizes.npy; lookalike_voxels.npy
        (l, 3), bright and away from every lesion; brain_voxels.npy (m, 3).
    """

    participant_id: str
    session_id: str
    folder: Path

    def array(self, name: str) -> NDArray[np.generic]:
        """One of the arrays, memory-mapped, read-only."""
        mapped: NDArray[np.generic] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return mapped


def prepared_folder_name(scan: Scan, prepared: Prepared, settings: SegmenterSettings) -> str:
    """Hash of the scan's bytes and of every setting that its arrays depend on."""
    assert scan.reference_mask is not None
    files = {name: hash_of_file(path) for name, path in scan.input_files.items()}
    return hash_of_content(
        {
            "source": hash_of_source(*_SOURCE),
            "files": files,
            "reference": hash_of_file(scan.reference_mask),
            "prepared": (scan.prepared or prepared).model_dump(),
            "preprocessing": settings.preprocessing.model_dump(mode="json"),
            "sequences": list(settings.sequences),
            "spacing_mm": settings.spacing_mm,
        }
    )[:32]


def prepare_training_scan(
    scan: Scan,
    prepared: Prepared,
    settings: SegmenterSettings,
    store: Path,
    *,
    steps: Steps = COMPUTED,
) -> TrainingScan:
    """Prepare one scan into ``store``, or find it there whole.

    Raises
    ------
    ScanError : an image or the reference mask cannot be used.
    """
    folder = store / prepared_folder_name(scan, prepared, settings)
    if not _is_whole(folder):
        files = {
            f"{name}.npy": npy_bytes(array)
            for name, array in _arrays(scan, prepared, settings, steps=steps).items()
        }
        needed_bytes = sum(len(content) for content in files.values())
        with translated_disk_errors(folder, needed_bytes=needed_bytes):
            store.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=partial_prefix(), dir=store))
            try:
                for name, content in files.items():
                    (partial / name).write_bytes(content)
                _write_hashes(partial)
                if not _is_whole(folder):  # another process may have been quicker
                    _put_in_place(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return TrainingScan(scan.participant_id, scan.session_id, folder)


def _is_whole(folder: Path) -> bool:
    """Whether the arrays have the bytes that were written."""
    try:
        promised: dict[str, str] = json.loads((folder / _HASHES_FILE).read_text(encoding="utf-8"))
        return {path.name: hash_of_file(path) for path in folder.glob("*.npy")} == promised
    except (OSError, ValueError):
        return False


def _write_hashes(folder: Path) -> None:
    write_json(
        folder / _HASHES_FILE, {path.name: hash_of_file(path) for path in folder.glob("*.npy")}
    )


def _put_in_place(partial: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # damaged, if it is there at all
    try:
        partial.rename(folder)
    except OSError:
        if not _is_whole(folder):  # another process was quicker after all
            raise


def _arrays(
    scan: Scan, prepared: Prepared, settings: SegmenterSettings, *, steps: Steps
) -> dict[str, NDArray[np.generic]]:
    """What `TrainingScan` says, by name."""
    assert scan.reference_mask is not None
    scan_prepared = prepare_scan(scan, prepared, settings=settings.preprocessing, steps=steps)
    given = network_input(scan_prepared, settings)
    reference = on_network_grid(read_mask(scan.reference_mask), scan_prepared, given)
    reference &= given.brain_mask.astype(np.uint8)
    brain_voxels = np.argwhere(given.brain_mask)
    # Every n-th brain voxel: enough places to centre a patch on, and always the same ones.
    step = max(1, len(brain_voxels) // _BRAIN_CENTRES)
    voxels, sizes = lesion_by_lesion(reference)
    lookalikes = lookalike_voxels(
        given.channels[0], reference, given.brain_mask, spacing_mm=settings.spacing_mm
    )
    return {
        "channels": given.channels.astype(np.float16),
        "reference": reference,
        "brain_voxels": brain_voxels[::step].astype(np.int16),
        "lesion_voxels": voxels,
        "lesion_sizes": sizes,
        "lookalike_voxels": lookalikes,
    }


def lesion_by_lesion(reference: NDArray[np.uint8]) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """Lesion voxels (n, 3) in the order of their lesions, and the number of voxels of each."""
    labels, count = label_lesions(reference, connectivity=LESION_CONNECTIVITY)
    voxels = np.argwhere(labels > 0)
    own = labels[tuple(voxels.T)]
    sizes = np.bincount(own, minlength=count + 1)[1:]
    return voxels[np.argsort(own, kind="stable")].astype(np.int16), sizes.astype(np.int32)


def lookalike_voxels(
    flair: NDArray[np.float32],
    reference: NDArray[np.uint8],
    brain_mask: NDArray[np.bool_],
    *,
    spacing_mm: float,
) -> NDArray[np.int16]:
    """The brightest FLAIR voxels of the brain away from lesions, (l, 3): cortex, rims, flow."""
    steps = max(1, round(_LOOKALIKE_DISTANCE_MM / spacing_mm))
    near = binary_dilation(reference, iterations=steps) if reference.any() else reference > 0
    candidates = np.argwhere(brain_mask & ~near)
    if len(candidates) == 0:
        return np.zeros((0, 3), dtype=np.int16)
    bright = flair[tuple(candidates.T)]
    chosen = candidates[bright >= np.quantile(bright, 1.0 - _LOOKALIKE_SHARE)]
    return chosen[:: max(1, len(chosen) // _BRAIN_CENTRES)].astype(np.int16)
