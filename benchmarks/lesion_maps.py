"""Tracking and lesion maps of the whole study cohort, from its true masks: time and pictures.

    python benchmarks/lesion_maps.py DATA FOLDER [--permutations 2000] [--results FILE]

DATA is what ``python -m lesion_dynamics.phantom`` wrote. The true masks are laid out in FOLDER as
``infer.py`` leaves its own: native, with the true motion between sessions, and in MNI space by
the head's scale alone (its folding, a few mm, stands for what an affine registration leaves).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from lesion_dynamics.atomic_files import write_json
from lesion_dynamics.cohort.bids_name import BidsName
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.imaging.writing import write_mask
from lesion_dynamics.longitudinal.measurements import read_measurements, write_measurements
from lesion_dynamics.phantom import truth
from lesion_dynamics.phantom.anatomy import load_template
from lesion_dynamics.phantom.disease_course import simulate_study
from lesion_dynamics.phantom.participant_anatomy import draw_anatomy
from lesion_dynamics.phantom.protocol import draw_position
from lesion_dynamics.phantom.random_streams import stream
from lesion_dynamics.preprocessing.mni import SPACE
from lesion_dynamics.preprocessing.mni_regions import region_maps
from lesion_dynamics.preprocessing.rigid_motion import inverse
from lesion_dynamics.records.derivatives import ScanOutputs
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.lesion_maps import LesionMapsSettings
from lesion_dynamics.settings.lesions_in_time import TrackingRules, TrackSettings
from lesion_dynamics.settings.phantom import PhantomSettings
from lesion_dynamics.workflows.lesions_in_time import lesion_maps, tracking
from lesion_dynamics.workflows.lesions_in_time.tracking_grid import TrackingGrid, on_grid


def lay_out(data: Path, folder: Path) -> None:
    """Write the derivatives."""
    settings = PhantomSettings.model_validate(
        json.loads((data / "phantom.json").read_text())["settings"]
    )
    maps = region_maps()
    shape = maps.brain.shape
    grid = TrackingGrid((shape[0], shape[1], shape[2]), maps.affine, copied=False)
    for course in simulate_study(settings):
        name = course.participant_id
        anatomy = draw_anatomy(stream(settings.seed, "study", name, "anatomy"), load_template())
        from_mni = np.diag([*anatomy.head_scale, 1.0])
        for session in course.schedule.session_ids:
            place = draw_position(
                stream(settings.seed, "study", name, session), degrees=3.0, millimetres=4.0
            )
            mask = read_mask(truth.mask_path(data, name, session))
            outputs = ScanOutputs.of(name, session, folder)
            write_mask(outputs.mask, mask)
            write_json(
                outputs.sidecar,
                {"Preprocessing": {"ParticipantSpaceFromFLAIR": place.tolist()}},
            )
            in_mni = BidsName.parse(outputs.mask.name).having({"space": SPACE}, suffix="mask")
            path = outputs.mask.with_name(in_mni.filename)
            write_mask(path, Image(on_grid(mask, inverse(from_mni) @ place, grid), maps.affine))
            write_json(
                path.with_name(path.name.replace(".nii.gz", ".json")),
                {"ParticipantSpaceFromMNI": from_mni.tolist(), "Deformable": False},
            )
    table = read_measurements(data / truth.MEASUREMENTS).assign(model_version="true-masks/1")
    write_measurements(folder / "lesion_measurements.tsv", pd.DataFrame(table))


def main() -> None:
    """Lay out, track, map, and write down the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--permutations", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    cohort = CohortSettings(name="study", layout="bids", root=given.data / "study")
    result: dict[str, float] = {}
    if not (given.folder / "lesion_measurements.tsv").is_file():
        lay_out(given.data, given.folder)
    result["scans"] = len(read_measurements(given.folder / "lesion_measurements.tsv"))
    begun = time.perf_counter()
    tracking.run(
        TrackSettings(
            cohort=cohort, processes=given.processes, derivatives=given.folder, spacing_mm=1.0,
            rules=TrackingRules(),
        )
    )  # fmt: skip
    result["tracking_s"] = round(time.perf_counter() - begun, 1)
    chosen = LesionMapsSettings(
        cohort=cohort, derivatives=given.folder, processes=given.processes,
        permutations=given.permutations, seed=1, covariates=("age", "sex"),
        fewest_participants=3, alpha=0.05,
    )  # fmt: skip
    for name in ("maps_s", "maps_again_s"):
        begun = time.perf_counter()
        lesion_maps.run(chosen)
        result[name] = round(time.perf_counter() - begun, 1)
    text = json.dumps(result, indent=2) + "\n"
    sys.stdout.write(text)
    if given.results is not None:
        given.results.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
