from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from lesion_dynamics.imaging.template_maps import ORIGIN_MM, TEMPLATE_SHAPE
from lesion_dynamics.report.lesion_maps import (
    SLICES_MM,
    ContrastShown,
    GroupMaps,
    _plane,
    draw_lesion_maps,
)


def at(x: int, y: int, z: int, value: float) -> np.ndarray:
    """One cube of 9 mm in an empty brain."""
    values = np.zeros(TEMPLATE_SHAPE, dtype=np.float32)
    i, j, k = (int(v) for v in np.array([x, y, z]) - ORIGIN_MM)
    values[i - 4 : i + 5, j - 4 : j + 5, k - 4 : k + 5] = value
    return values


def maps(contrast: ContrastShown | None) -> GroupMaps:
    return GroupMaps(
        template=np.full(TEMPLATE_SHAPE, 0.5, dtype=np.float32),
        origin_mm=ORIGIN_MM,
        frequency={"MS": at(40, 50, 12, 0.8), "NMOSD": at(-40, -60, 12, 0.4)},
        participants={"MS": 5, "NMOSD": 4},
        contrast=contrast,
        alpha=0.05,
    )


def test_the_participant_s_right_is_on_the_left_and_the_front_is_up() -> None:
    plane = _plane(at(40, 50, 12, 1.0), 12, maps(None))
    rows, columns = np.nonzero(plane)
    assert (rows.mean() < plane.shape[0] / 2, columns.mean() < plane.shape[1] / 2) == (True, True)
    assert len(rows) == 81
    assert not _plane(at(40, 50, 12, 1.0), SLICES_MM[0], maps(None)).any()


def test_a_row_a_diagnosis_and_one_for_the_difference_and_the_same_bytes_again(
    tmp_path: Path,
) -> None:
    contrast = ContrastShown(
        at(40, 50, 12, 4.0), np.where(at(40, 50, 12, 1.0) > 0, 0.01, 1).astype(np.float32), "last"
    )
    png, svg = draw_lesion_maps(tmp_path, "lesion_maps", maps(contrast))
    without, _ = draw_lesion_maps(tmp_path, "two", maps(None))
    assert imread(png).shape[0] > 1.3 * imread(without).shape[0]
    again, _ = draw_lesion_maps(tmp_path / "again", "lesion_maps", maps(contrast))
    assert again.read_bytes() == png.read_bytes()
    assert svg.is_file()
    # The lesion's colour of the first row is in the picture, and in the colour bar alone below.
    picture = imread(without)[..., :3]
    coloured = np.ptp(picture[:, : int(picture.shape[1] * 0.9)], axis=-1) > 0.2
    assert coloured[: picture.shape[0] // 2].any()
    assert coloured[picture.shape[0] // 2 :].any()
