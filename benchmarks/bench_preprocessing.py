"""How long preprocessing takes: python benchmarks/bench_preprocessing.py.

One session of the phantom with FLAIR and T1w at 1 mm in a field of view of 176 x 240 x 256.
Every step runs in a process of its own, so that its peak memory is its own; "alternative" rows
do the same work as a user would do it instead. Prints a table and writes
benchmarks/results/preprocessing.json; ratios travel between machines, seconds do not.
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import yaml
from whole_brain_scan import padded

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_image
from lesion_dynamics.imaging.writing import write_intensities
from lesion_dynamics.preprocessing.bias_field import find_bias_field, without_bias_field
from lesion_dynamics.preprocessing.brain_mask import brain_of_head
from lesion_dynamics.preprocessing.mni import register_to_mni, to_mni
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.preprocessing.registration import (
    rigid_registration,
    start_of_same_session,
    to_sitk,
)
from lesion_dynamics.preprocessing.sessions import align_sessions
from lesion_dynamics.segmenter.network_input import network_input
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.segmenter import SegmenterSettings

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "preprocessing.json"
FIELD_OF_VIEW = (176, 240, 256)
LIMIT_SECONDS = {"one session": 60.0, "one session, deformable": 120.0}
LIMIT_GB = 3.0
ALTERNATIVES = {
    "sequences: greedy": "alternative: SimpleITK rigid, Mattes information",
    "bias field: coarse grid": "alternative: N4 on every voxel",
}
logger = logging.getLogger("bench_preprocessing")


def settings() -> SegmenterSettings:
    """As shipped."""
    text = (ROOT / "conf/segmenter/dynunet.yaml").read_text(encoding="utf-8")
    return SegmenterSettings.model_validate(yaml.safe_load(text))


def write_session(folder: Path) -> None:
    """FLAIR and T1w of one phantom session, padded; the T1w lies 4 mm and 3 degrees away."""
    from lesion_dynamics.phantom.anatomy import load_template
    from lesion_dynamics.phantom.participant_anatomy import draw_anatomy
    from lesion_dynamics.phantom.protocol import study_protocol
    from lesion_dynamics.phantom.random_streams import stream
    from lesion_dynamics.phantom.scan_synthesis import Lesions, synthesise

    turned = np.eye(4)
    angle = np.radians(3.0)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turned[:3, 3] = [2.0, -3.0, 1.5]
    for name, position in (("FLAIR", np.eye(4)), ("T1w", turned)):
        scan = synthesise(
            draw_anatomy(stream(1, "anatomy"), load_template()),
            load_template(),
            Lesions(shapes=[], centres_mm=np.zeros((0, 3)), appearance=np.zeros((0, 3))),
            study_protocol("alpha3T", voxel_size_mm=1.0),
            stream(1, name),
            volumes_mm3=np.zeros(0),
            total_mm3=0.0,
            participant_from_scanner=position,
        )
        write_intensities(folder / f"{name}.nii.gz", padded(scan.images[name], FIELD_OF_VIEW))


def steps(folder: Path) -> dict[str, Callable[[], Any]]:
    """What is timed, by name; each reads what it needs before its clock starts."""
    chosen = settings()
    flair, t1w = (read_image(folder / f"{name}.nii.gz") for name in ("FLAIR", "T1w"))
    brain = flair.with_voxels((flair.voxels > 0).astype(np.uint8))
    scan = Scan("sub-01", "ses-01", {n: folder / f"{n}.nii.gz" for n in ("FLAIR", "T1w")})

    def session(mni: str) -> None:
        prepared = prepare_scan(scan, Prepared(), settings=chosen.preprocessing)
        network_input(prepared, chosen)
        if mni != "none":
            transform = register_to_mni(prepared, kind="deformable")
            to_mni(prepared.brain_mask, prepared, transform, interpolation="linear")

    def stripped() -> Any:
        return prepare_scan(
            scan,
            Prepared(skull_stripped=True, sequences_aligned=True, bias_corrected=True),
            settings=chosen.preprocessing,
        )

    bias = chosen.preprocessing.bias_field
    return {
        "reading": lambda: [read_image(path) for path in scan.images.values()],
        "brain mask: deepbet": lambda: brain_of_head(flair),
        "sequences: greedy": lambda: rigid_registration(
            flair,
            t1w,
            settings=chosen.preprocessing.registration,
            start=start_of_same_session(brain, t1w),
            fixed_brain=brain,
        ),
        "bias field: coarse grid": lambda: without_bias_field(
            flair, find_bias_field(flair, brain, settings=bias)
        ),
        "network grid": lambda: network_input(stripped(), chosen),
        "two sessions: rigid and drift": lambda: align_sessions(
            [stripped(), stripped()], settings=chosen.preprocessing.registration
        ),
        "MNI: affine": lambda: register_to_mni(stripped(), kind="affine"),
        "MNI: deformable": lambda: register_to_mni(stripped(), kind="deformable"),
        "one session": lambda: session("none"),
        "one session, deformable": lambda: session("deformable"),
        "alternative: SimpleITK rigid, Mattes information": lambda: rigid_by_sitk(flair, t1w),
        "alternative: N4 on every voxel": lambda: n4_on_every_voxel(
            flair, brain, list(bias.iterations)
        ),
    }


def rigid_by_sitk(fixed: Image, moving: Image) -> Any:
    """As SimpleITK's documentation does it."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.1, 7)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsGradientDescent(1.0, 100, 1e-6, 10)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    first, second = to_sitk(fixed), to_sitk(moving)
    method.SetInitialTransform(
        sitk.CenteredTransformInitializer(
            first, second, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.GEOMETRY
        )
    )
    return method.Execute(first, second)


def n4_on_every_voxel(image: Image, brain: Image, iterations: list[int]) -> Any:
    """SimpleITK's filter as it comes, with as many iterations."""
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations(iterations)
    mask = sitk.Cast(to_sitk(brain), sitk.sitkUInt8)
    return corrector.Execute(to_sitk(image), mask)


def run_one(name: str, folder: Path) -> None:
    """Time one step in this process and write what it took."""
    work = steps(folder)[name]
    begin = time.perf_counter()
    work()
    taken = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    row = {"seconds": round(taken, 2), "peak_gb": round(peak, 2)}
    sys.stdout.write(json.dumps(row) + "\n")


def main() -> None:
    """Every step in a fresh process; a table, ratios and limits."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_session(folder)
        for step in steps(folder):
            done = subprocess.run(
                [sys.executable, __file__, step, str(folder)],
                check=True,
                capture_output=True,
                text=True,
            )
            rows[step] = json.loads(done.stdout.splitlines()[-1])
            logger.info("%-50s %8.2f s %6.2f GB", step, *rows[step].values())
    ratios = {
        f"{theirs} / {ours}": round(rows[theirs]["seconds"] / rows[ours]["seconds"], 2)
        for ours, theirs in ALTERNATIVES.items()
    }
    within = {
        step: rows[step]["seconds"] <= limit and rows[step]["peak_gb"] <= LIMIT_GB
        for step, limit in LIMIT_SECONDS.items()
    }
    for what, ratio in ratios.items():
        logger.info("%-90s %6.2f", what, ratio)
    for step, kept in within.items():
        logger.info("%s: %s the limit", step, "within" if kept else "BEYOND")
    RESULTS.parent.mkdir(exist_ok=True)
    result = {"steps": rows, "ratios": ratios, "within_limits": within}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        run_one(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
