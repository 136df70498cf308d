"""What the longitudinal mode of inference takes out of changes: noise, and how much true change.

    python benchmarks/longitudinal_mode.py --model-version lesion-segmenter/1 --tracking tracking

Participants of a phantom that was drawn for this alone (another seed than the embedded cohort)
are scanned again and again without any change (stable), and over the years with their true course
(growing). Both are segmented scan by scan and in the longitudinal mode, with the sessions
registered as a user's would be. Writes benchmarks/results/longitudinal_mode.json: the standard
deviation of measured change in stable participants, the coefficient of variation of volumes above
1 ml, and the measured over the true change in growing ones. The same command goes on where it was
stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from lesion_dynamics.phantom import study_generation, truth
from lesion_dynamics.phantom.disease_course import ParticipantCourse, simulate_study
from lesion_dynamics.phantom.rescans import write_rescans
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.phantom import PhantomSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows import inference

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results" / "longitudinal_mode.json"
MODES = ("none", "shared")
GROWING_MM3, SMALLEST_MM3 = 300.0, 800.0
KEY = ["participant_id", "session_id"]
logger = logging.getLogger("longitudinal_mode")


def growing(settings: PhantomSettings, count: int) -> list[ParticipantCourse]:
    """Participants with lesions at the start and a true growth, spread over the growth."""
    wanted = [
        course
        for course in simulate_study(settings)
        if course.totals_mm3[-1] - course.totals_mm3[0] >= GROWING_MM3
        and course.totals_mm3[0] >= SMALLEST_MM3
    ]
    wanted.sort(key=lambda course: float(course.totals_mm3[-1] - course.totals_mm3[0]))
    places = np.unique(np.linspace(0, len(wanted) - 1, count).round().astype(int))
    return [wanted[place] for place in places]


def write_growing(settings: PhantomSettings, courses: list[ParticipantCourse], root: Path) -> None:
    """The participants with their own course, without attacks in the tables."""
    calm = [replace(one, schedule=replace(one.schedule, attacks=())) for one in courses]
    study_generation.write_tables(calm, root)
    for course in calm:
        study_generation.write_participant(settings, course, root)
    truth.write_tables(
        [(one.participant_id, session) for one in calm for session in one.schedule.session_ids],
        root,
    )


def segmented(work: Path, name: str, mode: str, given: argparse.Namespace) -> pd.DataFrame:
    """Volumes of a cohort in a mode, with the true ones beside them."""
    overrides = [
        "cohort=bids", f"cohort.name={name}", f"cohort.root={work / name / 'study'}",
        "cohort.prepared.skull_stripped=true", "cohort.prepared.sequences_aligned=true",
        "cohort.session_alignment=rigid", f"model_version={given.model_version}",
        f"tracking.folder={given.tracking or work / 'tracking'}", f"cache.folder={work / 'cache'}",
        f"output={work / 'derivatives'}", f"executor.processes={given.processes}",
        f"longitudinal={mode}",
    ]  # fmt: skip
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        values = OmegaConf.to_container(compose("infer", overrides), resolve=True)
    result = inference.run(validated(InferSettings, values))
    measured = pd.read_csv(result.measurements, sep="\t")
    true = pd.read_csv(work / name / truth.MEASUREMENTS, sep="\t")
    both = measured.merge(true[[*KEY, "lesion_volume_mm3"]], on=KEY, suffixes=("", "_true"))
    return both.sort_values(KEY)


def figures(stable: pd.DataFrame, changing: pd.DataFrame) -> dict[str, float]:
    """Noise of the change without a change, and what is left of a true one."""
    volumes = stable.groupby("participant_id")["lesion_volume_mm3"]
    within = volumes.var(ddof=1)
    large = volumes.mean() >= 1000
    ends = changing.groupby("participant_id")[["lesion_volume_mm3", "lesion_volume_mm3_true"]]
    change = ends.last() - ends.first()
    measured, true = change["lesion_volume_mm3"], change["lesion_volume_mm3_true"]
    return {
        "sd_of_change_in_stable_mm3": float(np.sqrt(2 * within.mean())),
        "coefficient_of_variation_above_1ml_percent": 100
        * float(np.sqrt((within / volumes.mean() ** 2)[large].mean())),
        "participants_above_1ml": int(large.sum()),
        "mean_volume_mm3": float(stable["lesion_volume_mm3"].mean()),
        "measured_over_true_change": float(measured.sum() / true.sum()),
        "median_measured_over_true_change": float((measured / true).median()),
        "true_change_mm3": float(true.sum()),
    }


def compare(work: Path, given: argparse.Namespace) -> dict[str, object]:
    """Draw, segment in both modes, compare."""
    settings = PhantomSettings.of_variant("default", seed=given.seed)
    courses = growing(settings, given.participants)
    write_rescans(settings, courses, work / "stable", scans=3)
    write_growing(settings, courses, work / "growing")
    found, changes, measured_with = {}, {}, ""
    for mode in MODES:
        stable = segmented(work, "stable", mode, given)
        changing = segmented(work, "growing", mode, given)
        measured_with = measured_with or str(stable["model_version"].iloc[0])
        found[mode] = figures(stable, changing)
        ends = changing.groupby("participant_id")["lesion_volume_mm3"]
        changes[mode] = ends.last() - ends.first()
    off, on = (found[mode] for mode in MODES)
    kept = changes["shared"] / changes["none"]
    return {
        "model_version": measured_with,
        "participants": len(courses),
        "scan by scan": off,
        "longitudinal": on,
        "noise_lowered_by_share": 1
        - on["sd_of_change_in_stable_mm3"] / off["sd_of_change_in_stable_mm3"],
        "change_kept_share": on["measured_over_true_change"] / off["measured_over_true_change"],
        "median_change_kept_share": float(kept.median()),
        "smallest_change_kept_share": float(kept.min()),
    }


def main() -> None:
    """Run and write."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-version", default="models/lesion-segmenter")
    parser.add_argument("--tracking", type=Path, help="store that the version is registered in")
    parser.add_argument("--participants", type=int, default=7)
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--work", type=Path, default=Path("runs/longitudinal_mode"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    found = compare(given.work, given)
    given.results.parent.mkdir(parents=True, exist_ok=True)
    given.results.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    logger.info("%s", json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
