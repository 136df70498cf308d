"""The scan of the inference benchmark: 182 x 218 x 182, 1 mm, FLAIR and T1w, skull-stripped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_intensities
from lesion_dynamics.phantom.anatomy import load_template
from lesion_dynamics.phantom.lesion_course import draw_baseline
from lesion_dynamics.phantom.lesion_shapes import draw_shape
from lesion_dynamics.phantom.lesion_sites import draw_sites
from lesion_dynamics.phantom.participant_anatomy import draw_anatomy
from lesion_dynamics.phantom.protocol import study_protocol
from lesion_dynamics.phantom.random_streams import stream
from lesion_dynamics.phantom.scan_synthesis import Lesions, draw_appearance, synthesise

FIELD_OF_VIEW = (182, 218, 182)
LESION_LOAD_MM3 = 12_000.0


def write_scan(folder: Path) -> dict[str, Path]:
    """FLAIR and T1w of one skull-stripped phantom session with lesions; path by sequence."""
    paths = {name: folder / f"{name}.nii.gz" for name in ("FLAIR", "T1w")}
    if all(path.is_file() for path in paths.values()):
        return paths
    template = load_template()
    anatomy = draw_anatomy(stream(6, "anatomy"), template)  # 142 x 174 x 148 mm
    rng = stream(1, "lesions")
    volumes = draw_baseline(rng, LESION_LOAD_MM3)
    centres = draw_sites(rng, "MS", volumes)
    scan = synthesise(
        anatomy,
        template,
        Lesions(
            shapes=[draw_shape(rng, centre) for centre in centres],
            centres_mm=anatomy.from_template_mm(centres.T).T,
            appearance=draw_appearance(rng, len(volumes)),
        ),
        study_protocol("alpha3T", voxel_size_mm=1.0),
        stream(1, "scan"),
        volumes_mm3=volumes,
        total_mm3=LESION_LOAD_MM3,
        participant_from_scanner=np.eye(4),
    )
    for name, path in paths.items():
        write_intensities(path, padded(scan.images[name], FIELD_OF_VIEW))
    return paths


def padded(image: Image, wanted: tuple[int, int, int]) -> Image:
    """In the middle of the field of view, cut where it is larger."""
    voxels = np.zeros(wanted, dtype=np.float32)
    puts, takes, shift = [], [], np.zeros(3)
    for axis, (size, target) in enumerate(zip(image.shape, wanted, strict=True)):
        put, take = max(0, (target - size) // 2), max(0, (size - target) // 2)
        length = min(size, target)
        puts.append(slice(put, put + length))
        takes.append(slice(take, take + length))
        shift[axis] = take - put
    voxels[tuple(puts)] = image.voxels[tuple(takes)]
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ shift
    return Image(voxels, affine)
