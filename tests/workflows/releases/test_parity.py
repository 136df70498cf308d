"""Two versions on the same scans: known Dice, known volumes, and what is not compared."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.conftest import composed

from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_mask
from lesion_dynamics.settings.releases import ParitySettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.releases.parity import run

AFFINE = np.diag([1.0, 2.0, 2.0, 1.0])
VOXEL_MM3 = 4.0


def write_scan(
    folder: Path, participant: str, voxels: int, *, start: int = 0, label: str, flair: str = "f"
) -> None:
    """A mask with ``voxels`` voxels in a row from ``start`` on, 4 mm3 each."""
    mask = np.zeros((10, 10, 10), dtype=np.uint8)
    mask.reshape(-1)[start : start + voxels] = 1
    path = folder / participant / "ses-01" / "anat" / f"{participant}_ses-01_label-L_mask.nii.gz"
    path.parent.mkdir(parents=True)
    write_mask(path, Image(mask, AFFINE))
    said = {"ModelVersion": label, "InputHashes": {"files": {"FLAIR": flair}}}
    path.with_suffix("").with_suffix(".json").write_text(json.dumps(said), encoding="utf-8")


@pytest.fixture
def derivatives(tmp_path: Path) -> Path:
    """Two versions over sub-1 (equal), sub-2 (shifted), sub-3 (one empty), sub-4 (other scan)."""
    root = tmp_path / "derivatives"
    for number, scans in enumerate(
        [
            [("sub-1", 50, 0), ("sub-2", 100, 0), ("sub-3", 3, 0), ("sub-4", 9, 0)],
            [("sub-1", 50, 0), ("sub-2", 100, 50), ("sub-3", 0, 0), ("sub-4", 9, 0)],
        ],
        start=1,
    ):
        for participant, voxels, start in scans:
            own = str(number) if participant == "sub-4" else ""
            write_scan(
                root / f"tiny-v{number}", participant, voxels, start=start,
                label=f"tiny/{number}", flair=participant + own,
            )  # fmt: skip
    write_scan(root / "tiny-v1", "sub-5", 4, label="tiny/1")
    return root


def settings(derivatives: Path, *more: str) -> ParitySettings:
    given = [
        "first=tiny/1", "second=tiny/2", f"derivatives={derivatives}",
        f"output={derivatives.parent / 'parity'}", *more,
    ]  # fmt: skip
    return validated(ParitySettings, composed("parity", *given))


def test_dice_volumes_and_verdict(derivatives: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        found = run(settings(derivatives))
    table = pd.read_csv(derivatives.parent / "parity" / "parity.tsv", sep="\t", na_values="n/a")
    by_id = table.set_index("participant_id")
    assert by_id["dice"].tolist() == [1.0, 0.5, 0.0]
    assert by_id["first_mm3"].tolist() == [50 * VOXEL_MM3, 100 * VOXEL_MM3, 3 * VOXEL_MM3]
    assert by_id["difference_mm3"].tolist() == [0.0, 0.0, -12.0]
    assert by_id.loc["sub-3", "difference_percent"] == -100
    # sub-3 is a speck of 12 mm3, below the absolute limit; sub-2's masks half overlap.
    assert found.beyond == ("sub-2",)
    assert found.summary["dice_median"] == 0.5
    assert found.summary["total_difference_percent"] == pytest.approx(-100 * 12 / 612)
    assert found.left_out == {
        "sub-4 ses-01": "the versions saw different FLAIR files",
        "sub-5 ses-01": "the second version has no mask",
    }
    said = caplog.text
    assert "tiny/2 against tiny/1" in said
    assert "No parity: 1 of 3 participants beyond the limits (sub-2)." in said
    written = json.loads((derivatives.parent / "parity" / "parity.json").read_text("utf-8"))
    assert written["verdict"] == found.verdict


def test_every_limit_decides(derivatives: Path) -> None:
    assert run(settings(derivatives, "dice_limit=0.5")).beyond == ()
    assert run(settings(derivatives, "volume_limit_mm3=11")).beyond == ("sub-2", "sub-3")
    strict = ["dice_limit=0", "volume_limit_mm3=11"]
    assert run(settings(derivatives, *strict)).beyond == ("sub-3",)
    assert run(settings(derivatives, *strict, "volume_limit_percent=100")).beyond == ()


def test_two_folders_are_compared_as_they_are(derivatives: Path) -> None:
    own = derivatives / "tiny-v1"
    found = run(settings(derivatives, f"first={own}", f"second={own}"))
    assert found.verdict == "Parity: none of 5 participants is beyond the limits."
    assert found.summary["dice_lowest"] == 1.0


def test_a_version_without_masks_is_refused(derivatives: Path) -> None:
    with pytest.raises(
        ModelVersionError, match=r"run infer\.py model_version=tiny/3|tiny/3 has no"
    ):
        run(settings(derivatives, "second=tiny/3"))
    (derivatives / "tiny-v4").mkdir()
    with pytest.raises(ModelVersionError, match="there is no scan to compare"):
        run(settings(derivatives, "second=tiny/4"))
