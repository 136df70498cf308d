"""Pictures of quality control: sides, squares, and pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lesion_dynamics.report.quality_panels import best_index, checkerboard, cut
from lesion_dynamics.report.quality_pictures import (
    ScanView,
    Thumbnail,
    draw_contact_sheets,
    draw_scan,
    thumbnail_of,
)

SHAPE = (40, 48, 36)
MANY = "; ".join(["flair_x 1 (z 9)"] * 60)


def view(*, other: bool = True, lesion: bool = True, flags: str = "") -> ScanView:
    away = (np.indices(SHAPE) - np.array([20, 24, 18])[:, None, None, None]) / np.array(
        [16, 20, 14]
    )[:, None, None, None]
    brain = (away**2).sum(axis=0) < 1
    flair = np.where(brain, away[0], -6).astype(np.float32)
    lesions = np.zeros(SHAPE, bool)
    lesions[26:29, 24:27, 21] = lesion
    return ScanView(
        "sub-01", "ses-01", "lesion-segmenter/1", flair, brain, lesions, 3.0, 81.0,
        -flair if other else None, "ses-02" if other else "", flags,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("plane", "right_anterior_superior"),
    [("axial", (0, 0)), ("coronal", (0, 0)), ("sagittal", (0, -1))],
)
def test_planes_are_shown_as_radiologists_hold_them(
    plane: str, right_anterior_superior: tuple[int, int]
) -> None:
    values = np.zeros((4, 5, 6))
    values[-1, -1, -1] = 1  # the voxel furthest to the right, in front, at the top
    index = {"axial": 5, "coronal": 4, "sagittal": 3}[plane]
    shown = cut(values, plane, index)  # type: ignore[arg-type]
    assert shown.shape == {"axial": (5, 4), "coronal": (6, 4), "sagittal": (6, 5)}[plane]
    assert shown[right_anterior_superior] == 1


def test_the_plane_with_the_most_lesion_is_shown() -> None:
    one = view()
    assert best_index(one.lesions, one.brain, "axial") == 21
    assert best_index(one.lesions & False, one.brain, "axial") in (17, 18)


def test_squares_alternate_between_two_sessions() -> None:
    first, second = np.zeros((16, 24), np.float32), np.ones((16, 24), np.float32)
    board = checkerboard(first, second, spacing_mm=3)
    assert board[:8, :8].max() == 0
    assert board[:8, 8:16].min() == 1
    assert board[8:, 8:16].max() == 0


@pytest.mark.parametrize(
    "shown",
    [
        view(),
        view(other=False),
        view(lesion=False),
        view(flags=MANY),
    ],
    ids=["two sessions", "one session", "lesion-free", "many flags"],
)
def test_a_scan_is_drawn_with_the_same_bytes_each_time(tmp_path: Path, shown: ScanView) -> None:
    draw_scan(tmp_path / "a.png", shown)
    draw_scan(tmp_path / "b.png", shown)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_sheets_hold_forty_scans_a_page_flagged_first_and_old_pages_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lesion_dynamics.report import quality_pictures

    pages: list[list[Thumbnail]] = []

    def page(path: Path, thumbnails: list[Thumbnail], **_: int) -> None:
        pages.append(thumbnails)
        path.write_bytes(b"")

    monkeypatch.setattr(quality_pictures, "_draw_page", page)
    small = thumbnail_of(view(), flag_count=0)
    many = [
        Thumbnail(f"sub-{i:03d}", "ses-01", small.flair, small.brain, small.lesions, 3.0, i % 3, "")
        for i in range(90)
    ]
    assert len(draw_contact_sheets(tmp_path, many)) == 3
    counts = [t.flag_count for one in pages for t in one]
    assert counts == sorted(counts, reverse=True)
    assert [len(one) for one in pages] == [40, 40, 10]
    assert len(draw_contact_sheets(tmp_path, many[:20])) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["contact_sheet_01.png"]
