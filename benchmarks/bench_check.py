"""How long the check of a large cohort takes by tables and headers (make bench-check).

Writes a BIDS tree of small files into a temporary folder, with as much in headers, tables and
sidecars as real ones have, checks it, and removes it. Reading a header costs the same for a small
image as for a large one. Prints a table and writes benchmarks/results/check.json; the ratio
against nib.load of the same files travels between machines, seconds do not. The files were just
written, so the disk's cache is warm.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import resource
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml

from lesion_dynamics.settings.check import CheckSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.check import run

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "check.json"
SESSIONS, SEQUENCES = 3, ("FLAIR", "T1w")
SHAPE, EDGE_MM = (20, 24, 20), 9.0
logger = logging.getLogger("bench_check")


def write_tree(root: Path, participants: int) -> None:
    """``participants`` with three sessions of FLAIR and T1w, sidecars, tables and attacks."""
    people = ["participant_id\tdiagnosis\tage\tsex\tscanner"]
    attacks = ["participant_id\tattack_id\tdays_from_baseline"]
    image = nib.Nifti1Image(np.zeros(SHAPE, np.int16), np.diag([EDGE_MM] * 3 + [1.0]))
    image.set_qform(image.affine, code=1)
    image.header.set_xyzt_units("mm")
    content = bytearray(image.to_bytes())
    for at in range(participants):
        who = f"sub-{at:05d}"
        age = 20 + at % 50
        people.append(f"{who}\t{('MS', 'NMOSD')[at % 2]}\t{age}\t{'FM'[at % 2]}\tscanner{at % 3}")
        if at % 4 == 0:
            attacks.append(f"{who}\t1\t{-200 + at % 600}")
        sessions = ["session_id\tdays_from_baseline\tage"]
        for session in range(SESSIONS):
            sessions.append(f"ses-{session + 1:02d}\t{365 * session}\t{age + session}")
            folder = root / who / f"ses-{session + 1:02d}" / "anat"
            folder.mkdir(parents=True)
            for number, sequence in enumerate(SEQUENCES):
                # Every image is its own: a copy would be a finding.
                content[352:360] = ((at * SESSIONS + session) * 2 + number).to_bytes(8, "little")
                stem = folder / f"{who}_ses-{session + 1:02d}_{sequence}"
                stem.with_suffix(".nii.gz").write_bytes(gzip.compress(bytes(content), 1, mtime=0))
                said = {
                    "Manufacturer": "Siemens",
                    "MagneticFieldStrength": 3,
                    "PatientAge": age + session,
                }
                stem.with_suffix(".json").write_text(json.dumps({**said, "EchoTime": 0.1}))
        (root / who / f"{who}_sessions.tsv").write_text("\n".join(sessions) + "\n")
    (root / "participants.tsv").write_text("\n".join(people) + "\n")
    (root / "phenotype").mkdir()
    (root / "phenotype" / "attacks.tsv").write_text("\n".join(attacks) + "\n")


def settings_for(root: Path, output: Path) -> CheckSettings:
    """The shipped configuration of the check, headers only, on a tree."""
    values = yaml.safe_load((ROOT / "conf" / "check.yaml").read_text(encoding="utf-8"))
    study = yaml.safe_load((ROOT / "conf" / "study" / "hong2025.yaml").read_text(encoding="utf-8"))
    own = {name: values[name] for name in CheckSettings.model_fields if name in values}
    cohort = {"name": "bench", "layout": "bids", "root": root}
    return validated(
        CheckSettings, {**own, "cohort": cohort, "study": study, "output": output, "pixels": False}
    )


def main() -> None:
    """Write, check, print, remove."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--participants", type=int, default=500)
    participants = parser.parse_args().participants
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        root = Path(folder) / "bids"
        root.mkdir()
        begin = time.perf_counter()
        write_tree(root, participants)
        logger.info("written in %.0f s", time.perf_counter() - begin)
        begin = time.perf_counter()
        result = run(settings_for(root, Path(folder) / "check"))
        taken = time.perf_counter() - begin
        files = [record.path for record in result.records[:500]]
        begin = time.perf_counter()
        for file in files:
            nib.load(file)
        loading_ms = (time.perf_counter() - begin) / len(files) * 1e3
    assert len(result.scans) == participants * SESSIONS
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    per_file_ms = taken / len(result.records) * 1e3
    found = {
        "participants": float(participants),
        "images": float(len(result.records)),
        "check, headers only (s)": taken,
        "a scan (ms)": taken / len(result.scans) * 1e3,
        "an image (ms)": per_file_ms,
        "an image, over nib.load of it alone (ratio)": per_file_ms / loading_ms,
        "peak memory of a process (MiB)": peak / 1024,
    }
    width = max(map(len, found))
    logger.info("\n".join(f"{name:<{width}}  {value:10.3f}" for name, value in found.items()))
    RESULTS.parent.mkdir(exist_ok=True)
    rounded = {name: round(value, 3) for name, value in found.items()}
    RESULTS.write_text(json.dumps(rounded, indent=2) + "\n")


if __name__ == "__main__":
    main()
