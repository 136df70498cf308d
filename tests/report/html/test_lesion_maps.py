import io

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.report.html.lesion_map_pictures import (
    HEIGHTS_MM,
    lesion_map_pictures,
    sampled,
)

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
AFFINE[:3, 3] = (-90, -120, -60)


def ball(centre_mm, *, value=0.4, radius_mm=6.0, affine=AFFINE):
    """A ball of ``value`` on a 2 mm grid."""
    grid = np.stack(np.indices((91, 109, 80)), axis=-1) @ affine[:3, :3].T + affine[:3, 3]
    inside = np.linalg.norm(grid - np.asarray(centre_mm), axis=-1) <= radius_mm
    return nib.Nifti1Image((inside * value).astype(np.float32), affine)


def test_a_lesion_of_the_right_hemisphere_lies_on_the_left_of_the_picture():
    found = sampled(ball((40, 30, 20)))
    planes = found.reshape(len(HEIGHTS_MM), -1).max(axis=1)
    assert HEIGHTS_MM[int(planes.argmax())] == 20
    rows, columns = np.nonzero(found[2] > 0.2)
    # 2 mm pixels from the participant's right (+78 mm) and from the front (+78 mm).
    assert columns.mean() == pytest.approx((78 - 40) / 2, abs=0.6)
    assert rows.mean() == pytest.approx((78 - 30) / 2, abs=0.6)
    assert columns.mean() < found.shape[2] / 2


def test_the_grid_of_the_file_does_not_matter():
    flipped = AFFINE.copy()
    flipped[0] = (-2, 0, 0, 90)
    plain, other = sampled(ball((40, 30, 20))), sampled(ball((40, 30, 20), affine=flipped))
    assert np.allclose(plain, other, atol=1e-6)


def test_maps_are_drawn_embedded_and_written_and_those_missing_are_left_out(tmp_path):
    group, output = tmp_path / "group", tmp_path / "out"
    group.mkdir()
    nib.save(ball((40, 30, 20)), group / "diagnosis-MS_timepoint-last_lesionfrequency.nii.gz")
    start = "contrast-MSminusNMOSD_timepoint-first"
    nib.save(ball((0, 0, 35), value=4), group / f"{start}_tstat.nii.gz")
    pictures = lesion_map_pictures(group, output=output)
    assert [one.diagnosis for one in pictures] == ["MS", ""]
    for one in pictures:
        picture = Image.open(io.BytesIO((output / one.file).read_bytes()))
        assert picture.size[0] > 3 * picture.size[1]
        assert one.source.startswith("data:image/png;base64,")
    # The outline appears where the corrected p is small, and not around zeros outside.
    before = (output / pictures[1].file).read_bytes()
    nib.save(ball((0, 0, 35), value=0.9), group / f"{start}_pfwe.nii.gz")
    assert (output / lesion_map_pictures(group, output=output)[1].file).read_bytes() == before
    nib.save(ball((0, 0, 35), value=0.01), group / f"{start}_pfwe.nii.gz")
    assert (output / lesion_map_pictures(group, output=output)[1].file).read_bytes() != before


def test_no_folder_no_picture_and_a_broken_map_is_refused(tmp_path):
    assert lesion_map_pictures(tmp_path, output=tmp_path / "out") == []
    (tmp_path / "diagnosis-MS_newlesionfrequency.nii.gz").write_bytes(b"not an image")
    with pytest.raises(MeasurementsError, match="lesion map cannot be read"):
        lesion_map_pictures(tmp_path, output=tmp_path / "out")
