"""The order of one scan's steps, and what is left out because it was done before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.preprocessing.motions import after, displacement, mask_of, motion

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_image
from lesion_dynamics.imaging.writing import write_intensities
from lesion_dynamics.preprocessing import brain_mask
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.preprocessing import PreprocessingSettings

T1W_MOVED = motion([2.0, -1.5, 1.0], [3.0, -2.0, 1.0])
DONE = Prepared(skull_stripped=True, sequences_aligned=True, bias_corrected=True)
STRIPPED = Prepared(skull_stripped=True)


@pytest.fixture(scope="module")
def scan(flair: Image, brain: Image, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """A skull-stripped FLAIR, and a T1w that lies elsewhere."""
    folder = tmp_path_factory.mktemp("scan")
    write_intensities(folder / "FLAIR.nii.gz", flair)
    write_intensities(folder / "T1w.nii.gz", after(brain, T1W_MOVED))
    images = {name: folder / f"{name}.nii.gz" for name in ("FLAIR", "T1w")}
    return Scan("sub-01", "ses-01", images)


def test_what_was_done_before_is_not_done_again(
    scan: Scan, settings: PreprocessingSettings
) -> None:
    found = prepare_scan(scan, DONE, settings=settings)
    for name, path in scan.images.items():
        np.testing.assert_array_equal(found.sequences[name].image.voxels, read_image(path).voxels)
        np.testing.assert_array_equal(found.sequences[name].to_flair, np.eye(4))
        assert found.sequences[name].log_bias_field is None
    np.testing.assert_array_equal(found.to_participant, np.eye(4))


def test_a_stripped_scan_is_registered_and_corrected(
    scan: Scan, settings: PreprocessingSettings
) -> None:
    found = prepare_scan(scan, STRIPPED, settings=settings)
    t1w = found.sequences["T1w"]
    # Where the T1w's point T1W_MOVED p goes, the FLAIR has p.
    assert displacement(t1w.to_flair @ T1W_MOVED, np.eye(4), found.brain_mask) < 0.2
    for name, path in scan.images.items():
        sequence = found.sequences[name]
        assert sequence.log_bias_field is not None
        raw = read_image(path)
        assert sequence.image.on_same_grid_as(raw)
        assert np.abs(sequence.image.voxels - raw.voxels).max() > 1.0
    assert found.brain_mask.on_same_grid_as(found.sequences["FLAIR"].image)


def test_the_scans_own_word_goes_before_the_cohorts(
    scan: Scan, settings: PreprocessingSettings
) -> None:
    own = Scan(scan.participant_id, scan.session_id, scan.images, prepared=DONE)
    found = prepare_scan(own, Prepared(), settings=settings)
    assert found.sequences["FLAIR"].log_bias_field is None


def test_a_scan_without_t1w_is_prepared(scan: Scan, settings: PreprocessingSettings) -> None:
    alone = Scan("sub-01", "ses-02", {"FLAIR": scan.images["FLAIR"]})
    assert list(prepare_scan(alone, STRIPPED, settings=settings).sequences) == ["FLAIR"]


def test_a_disabled_bias_field_leaves_intensities(
    scan: Scan, settings: PreprocessingSettings
) -> None:
    off = settings.bias_field.model_copy(update={"enabled": False})
    aligned = Prepared(skull_stripped=True, sequences_aligned=True)
    found = prepare_scan(scan, aligned, settings=settings.model_copy(update={"bias_field": off}))
    assert found.sequences["FLAIR"].log_bias_field is None
    np.testing.assert_array_equal(
        found.sequences["FLAIR"].image.voxels, read_image(scan.images["FLAIR"]).voxels
    )


def test_a_whole_head_goes_to_deepbet(
    scan: Scan, settings: PreprocessingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Image] = []

    def brain_of_head(image: Image) -> Image:
        seen.append(image)
        return mask_of(image)

    monkeypatch.setattr(brain_mask, "brain_of_head", brain_of_head)
    raw = Prepared(sequences_aligned=True, bias_corrected=True)
    prepare_scan(scan, raw, settings=settings)
    assert len(seen) == 1


def test_an_error_names_the_scan(
    flair: Image, settings: PreprocessingSettings, tmp_path: Path
) -> None:
    small = Image(flair.voxels, np.diag([0.5, 0.5, 0.5, 1.0]))
    write_intensities(tmp_path / "FLAIR.nii.gz", small)
    tiny = Scan("sub-07", "ses-03", {"FLAIR": tmp_path / "FLAIR.nii.gz"})
    with pytest.raises(ScanError, match="sub-07 ses-03 FLAIR: the brain mask holds"):
        prepare_scan(tiny, DONE, settings=settings)


def test_torch_is_not_loaded_for_a_stripped_scan(scan: Scan) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from lesion_dynamics.imaging.reading import read_image\n"
        "from lesion_dynamics.preprocessing import prepare, sessions\n"
        "from lesion_dynamics.preprocessing.brain_mask import brain_of\n"
        "brain_of(read_image(Path(sys.argv[1])), skull_stripped=True)\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(scan.images["FLAIR"])], check=True)
