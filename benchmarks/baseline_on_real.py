"""A model version on the open MS data: one labelled MNI-space patient, two with published change.

    python benchmarks/baseline_on_real.py FOLDER [--model-version NAME/NUMBER] [--results FILE]

OPEN_MS_DATA names the data. FOLDER receives derivatives, the preprocessing cache and one picture
of change a patient. These three patients judge; nothing is to be tuned to them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from open_ms_change import draw_change, read_change

from lesion_dynamics.api import SHIPPED, segment_cohort, segment_scan
from lesion_dynamics.atomic_files import write_json
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.lesions.agreement import agreement
from lesion_dynamics.records.derivatives import ScanOutputs
from lesion_dynamics.settings.operating_point import LESION_CONNECTIVITY

ROOT = Path(__file__).parents[1]
_ALIGNED = "_N4_noneck_reduced_winsor_regtoFLAIR"
_SMALLEST_MM3 = 14.0
_LABELLED = "patient26"


def main() -> None:
    """Segment, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model-version", default=SHIPPED)
    parser.add_argument("--tracking", type=Path, help="default: a store of its own in FOLDER")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    tracking = given.tracking or given.folder / "tracking"
    data = Path(os.environ.get("OPEN_MS_DATA", ROOT.parent / "shared" / "open_ms_data"))
    if not data.is_dir():
        parser.error("the open MS data are missing; set OPEN_MS_DATA to their folder")
    done = segment_cohort(
        data, name="openms", layout="open_ms", output=given.folder / "derivatives",
        model_version=given.model_version, cache=given.folder / "cache", tracking=tracking,
    )  # fmt: skip
    if done.failures:
        raise SystemExit("\n".join(failure.line for failure in done.failures))

    def mask_of(participant: str, session: int) -> Path:
        return ScanOutputs.of(participant, f"ses-{session:02d}", done.folder).mask

    scans = data / "cross_sectional/MNI" / _LABELLED
    reference = read_mask(scans / f"GOLD_STANDARD{_ALIGNED}_regtoMNI.nii.gz")
    alone = segment_scan(
        scans / f"FLAIR{_ALIGNED}_brain_N4_regtoMNI.nii.gz", tracking=tracking,
        model_version=given.model_version,
        prepared={"skull_stripped": True, "sequences_aligned": True, "bias_corrected": True},
    )  # fmt: skip
    report: dict[str, Any] = {
        "model_version": alone.model_version,
        "weights_sha256": str(done.measurements["weights_sha256"].iloc[0]),
        _LABELLED: {
            "FLAIR and T1w": _compared(reference, read_mask(mask_of("sub-cross26", 1))),
            "FLAIR alone": _compared(reference, alone.mask),
        },
    }
    for patient in ("patient01", "patient03"):
        participant = f"sub-long{patient.removeprefix('patient')}"
        masks = mask_of(participant, 1), mask_of(participant, 2)
        change = read_change(data / "longitudinal", patient, masks)
        draw_change(change, given.folder)
        report[patient] = change.figures()
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    if given.results:
        write_json(given.results, report)


def _compared(reference: Image, found: Image) -> dict[str, float | None]:
    assert found.on_same_grid_as(reference)
    measured = agreement(
        reference.voxels,
        found.voxels.astype(np.uint8),
        voxel_volume_mm3=reference.voxel_volume_mm3,
        connectivity=LESION_CONNECTIVITY,
        minimum_lesion_volume_mm3=_SMALLEST_MM3,
    )
    share = measured.predicted_volume_mm3 / measured.reference_volume_mm3 - 1
    return {
        "dice": measured.dice,
        "lesion_f1": measured.lesion_f1,
        "lesion_sensitivity": measured.lesion_sensitivity,
        "lesion_precision": measured.lesion_precision,
        "volume_difference_share": share,
        "reference_volume_mm3": measured.reference_volume_mm3,
    }


if __name__ == "__main__":
    main()
