"""Parts of the scan pages: grid, overlays, embedded volumes, chart, text."""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree

import nibabel as nib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image as Picture

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.report.quality_panels import LESION_COLOUR
from lesion_dynamics.report.scan_pages import text
from lesion_dynamics.report.scan_pages.content import IndexEntry, IndexSession
from lesion_dynamics.report.scan_pages.display_grid import (
    Placed,
    grey_on,
    grid_around,
    labels_on,
    mask_on,
    share_on,
)
from lesion_dynamics.report.scan_pages.embedded import nifti_text, thumbnail
from lesion_dynamics.report.scan_pages.index_page import index_page
from lesion_dynamics.report.scan_pages.overlap_change import overlap_change
from lesion_dynamics.report.scan_pages.volume_chart import Series, volume_chart


def box(shape: tuple[int, int, int], low: int, high: int, value: float = 1.0) -> np.ndarray:
    voxels = np.zeros(shape, dtype=np.float32)
    voxels[low:high, low:high, low:high] = value
    return voxels


def test_the_grid_holds_heads_where_they_lie_and_lesions_beyond_them() -> None:
    shift = np.eye(4)
    shift[:3, 3] = (10, 0, 0)
    flair = Image(box((30, 30, 30), 10, 20, 100.0), np.diag([2.0, 2.0, 2.0, 1.0]))
    grid = grid_around([Placed(flair, shift)], [], spacing_mm=1.0)
    # Voxels 10 to 19 lie at 20 to 38 mm, moved by 10 along x; 4 mm around them.
    np.testing.assert_allclose(grid.affine[:3, 3], [26, 16, 16])
    assert grid.shape == (27, 27, 27)
    far = Image(box((30, 30, 30), 0, 1), flair.affine)
    wider = grid_around([Placed(flair, shift)], [Placed(far, shift)], spacing_mm=1.0)
    np.testing.assert_allclose(wider.affine[:3, 3], [6, -4, -4])


def test_necks_are_cut_below_the_brain() -> None:
    tall = np.zeros((20, 20, 150), dtype=np.float32)
    tall[5:15, 5:15, 5:145] = 100
    grid = grid_around(
        [Placed(Image(tall, np.diag([2.0, 2.0, 2.0, 1.0])), np.eye(4))], [], spacing_mm=1.0
    )
    assert grid.shape[2] == 165 + 2 * 4 + 1
    assert grid.affine[2, 3] == 288 - 165 - 4


def test_grey_has_one_median_whatever_the_scanner_and_black_air() -> None:
    voxels = box((20, 20, 20), 5, 15, 100.0)
    voxels[10:, 5:15, 5:15] *= 1.5
    for gain in (1.0, 7.0):
        flair = Placed(
            Image(voxels * np.float32(gain) + np.float32(3 * gain), np.eye(4)), np.eye(4)
        )
        grid = grid_around([flair], [], spacing_mm=1.0)
        grey = grey_on(grid, flair)
        place = tuple((np.array([12, 8, 8]) - grid.affine[:3, 3]).astype(int))
        assert grey[place] == round(90 * 153 / 128)  # of 500 voxels at 103 and 500 at 153
        assert grey[0, 0, 0] == 0


def test_no_lesion_vanishes_on_a_coarser_grid() -> None:
    voxels = np.zeros((40, 40, 40), dtype=np.uint8)
    voxels[10:22, 10:22, 10:22] = 1
    voxels[30, 30, 31] = 1  # a voxel alone, far from every voxel of a 3 mm grid's centre
    flair = Placed(Image(box((40, 40, 40), 2, 38, 50.0), np.eye(4)), np.eye(4))
    mask = Placed(Image(voxels, np.eye(4)), np.eye(4))
    grid = grid_around([flair], [mask], spacing_mm=3.0)
    shown = mask_on(grid, mask)
    there = np.rint((np.array([30, 30, 31]) - grid.affine[:3, 3]) / 3).astype(int)
    assert shown[tuple(there)] == 1
    assert shown.sum() == 4**3 + 1
    labels = labels_on(grid, Placed(Image(voxels.astype(np.int32) * 5, np.eye(4)), np.eye(4)))
    np.testing.assert_array_equal(labels, shown * 5)
    probability = Placed(Image(voxels.astype(np.float32) * 0.4, np.eye(4)), np.eye(4))
    assert share_on(grid, probability).max() == round(0.4 * 255)


def test_lesions_that_touch_nothing_are_new_or_resolved() -> None:
    before = box((20, 20, 20), 2, 5).astype(np.uint8)
    now = before.copy()
    before[10:12, 10:12, 10:12] = 1
    now[15:17, 15:17, 15:17] = 1
    now[5, 2:5, 2:5] = 1  # growth of the first
    change = overlap_change(before, now)
    assert np.unique(change[2:6, 2:5, 2:5]).tolist() == [1]
    assert np.unique(change[15:17, 15:17, 15:17]).tolist() == [2]
    assert np.unique(change[10:12, 10:12, 10:12]).tolist() == [5]
    assert (change > 0).sum() == 27 + 9 + 8 + 8


def test_an_embedded_volume_is_nifti_with_its_place_and_no_text() -> None:
    voxels = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = (-10, 20, 30)
    packed = base64.b64decode(nifti_text(voxels, affine, slope=1 / 255))
    image = nib.Nifti1Image.from_bytes(gzip.decompress(packed))
    np.testing.assert_allclose(image.affine, affine)
    np.testing.assert_allclose(image.get_fdata(), voxels / 255, rtol=1e-6)
    for field in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        assert not bytes(image.header[field]).strip(b"\0")
    assert packed == base64.b64decode(nifti_text(voxels, affine, slope=1 / 255))


def test_a_thumbnail_outlines_the_lesion_where_it_is() -> None:
    grey = np.full((60, 70, 5), 80, dtype=np.uint8)
    mask = np.zeros_like(grey)
    mask[40:50, 50:60, 2] = 1
    content = thumbnail(grey, mask, height_index=2)
    shown = np.asarray(Picture.open(io.BytesIO(content)).convert("RGB")).astype(float)
    assert shown.shape == (140, 120, 3)
    orange = np.abs(shown - 255 * np.array(to_rgb(LESION_COLOUR))).sum(axis=-1) < 150
    rows, columns = np.nonzero(orange)
    # Row 0 is the front (y = 69), column 0 the participant's right (x = 59).
    assert (rows.min(), rows.max()) == pytest.approx(((70 - 60) * 2, (70 - 50) * 2), abs=2)
    assert (columns.min(), columns.max()) == pytest.approx(((60 - 50) * 2, (60 - 40) * 2), abs=2)
    assert not orange[30, 30]
    assert len(content) < 4000


def test_the_chart_puts_volumes_and_attacks_where_they_belong() -> None:
    chart = volume_chart(
        [Series("a<b", (0.0, 365.25, 730.5), (0.0, 1000.0, math.nan)), Series("c", (), ())],
        [182.625, 5000.0, math.nan],
    )
    tree = ElementTree.fromstring(chart)
    dots = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in tree.iter("circle")]
    assert dots == [(58.0, 210.0), (468.0, 26.0)]
    attacks = [g for g in tree.iter("g") if g.attrib["class"] == "attack"]
    assert [float(g[1].attrib["x1"]) for g in attacks] == [263.0]
    assert "1,000 mm³ on day 365" in tree.attrib["aria-label"]
    assert volume_chart([Series("a", (math.nan,), (5.0,))], []) == ""


def test_lesion_free_participants_have_a_chart() -> None:
    tree = ElementTree.fromstring(volume_chart([Series("a", (0.0, 400.0), (0.0, 0.0))], []))
    assert [float(c.attrib["cy"]) for c in tree.iter("circle")] == [210.0, 210.0]


def test_data_in_a_script_cannot_end_it() -> None:
    hostile = "</script><script>alert(1)</script><!--"
    element = text.json_script("x", {"said": hostile})
    assert element.count("</script>") == 1
    assert "<!--" not in element
    assert json.loads(element.partition(">")[2].removesuffix("</script>")) == {"said": hostile}


def test_the_index_says_what_it_sorts_by_and_escapes_all_text() -> None:
    hostile = '"><img src=x onerror=alert(1)>'
    sessions = (
        IndexSession("ses-01", 0.0, 100.0, 2, hostile, "thumbnails/a.webp"),
        IndexSession("ses-02", math.nan, math.nan, 0, "", "thumbnails/b.webp"),
    )
    entries = [
        IndexEntry("sub-02", hostile, sessions, -250.0, 81.0, 0.5),
        IndexEntry("sub-01", "MS", (), math.nan, math.nan, math.nan, problem="cannot <b>"),
    ]
    page = index_page(entries, cohort=hostile, versions=["a/1", "a/2"])
    assert "<img src=x" not in page
    assert "cannot &lt;b&gt;" in page
    assert page.index('data-name="sub-01"') < page.index('data-name="sub-02"')
    assert 'data-flags="2" data-change="250.0" data-disagreement="81.0"' in page
    assert "change −250 mm³; versions differ by 81 mm³ (Dice 0.50)" in page
    one = index_page(entries, cohort="x", versions=["a/1"])
    assert "disagreement of model versions" not in one
    assert re.search(r'alt="sub-02 ses-02, day unknown: lesion volume n/a"', one)
