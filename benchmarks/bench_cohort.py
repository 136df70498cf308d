"""A cohort against its scans one by one: time, memory, and a second run that finds all done.

    python benchmarks/bench_cohort.py [--data data] [--model-version models/lesion-segmenter]
        [--work build/bench_cohort] [--scans 0] [--results FILE]

The study cohort of the phantom. First the preprocessing of every scan is put into the cache, by an
inference that is not timed (``--warm`` names a cache that has it); a few scans are prepared without
a cache, which is the preprocessing that is reported apart. Then some scans are segmented one by
one in a single process, and ``infer.py`` does the whole cohort from nothing but that cache, its
memory looked at twice a second, and once more when it is finished. What the cohort costs over
``scans x one scan / cores`` is the price of starting, of sharing the processor and of the tables.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
LOOK_SECONDS = 0.5
SINGLE, UNCACHED = 24, 4
logger = logging.getLogger("bench_cohort")


def overrides(given: argparse.Namespace, work: Path) -> list[str]:
    """Of infer.py: the phantom's study, everything below the benchmark's own folder."""
    return [
        f"cohort.root={given.data / 'study'}", f"model_version={given.model_version}",
        f"cache.folder={given.cache}", f"output={work}", f"tracking.folder={work / 'tracking'}",
        f"executor.processes={given.processes}",
    ]  # fmt: skip


def one_by_one(given: argparse.Namespace) -> dict[str, Any]:
    """Seconds a scan in one process alone, and of preprocessing without a cache."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from lesion_dynamics.cohort.reading import read_cohort
    from lesion_dynamics.preprocessing.prepare import prepare_scan
    from lesion_dynamics.preprocessing.step_cache import open_cache
    from lesion_dynamics.preprocessing.steps import Steps
    from lesion_dynamics.records.derivatives import ScanOutputs
    from lesion_dynamics.settings.inference import InferSettings
    from lesion_dynamics.settings.strict import validated
    from lesion_dynamics.workflows.inference import version_of
    from lesion_dynamics.workflows.inference_quality import quality_task
    from lesion_dynamics.workflows.inference_tasks import ParticipantTask, ScanTask
    from lesion_dynamics.workflows.inference_worker import load_segmenter, segment_participant

    folder = given.work / "one_by_one"
    shutil.rmtree(folder, ignore_errors=True)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        values = OmegaConf.to_container(compose("infer", overrides(given, folder)), resolve=True)
    settings = validated(InferSettings, values)
    version = version_of(settings)
    segmenter = version.manifest.segmenter
    cohort = read_cohort(
        settings.cohort, required_sequences=segmenter.required_sequences,
        optional_sequences=segmenter.optional_sequences, masks_needed=False,
    )  # fmt: skip
    steps = Steps(open_cache(settings.cache))
    begun = time.perf_counter()
    load_segmenter(version, settings.cohort, "none", steps, 1, settings.engine)
    loading = time.perf_counter() - begun
    participants = sorted({scan.participant_id for scan in cohort.scans})
    chosen = participants[:: max(1, 3 * len(participants) // SINGLE)]
    seconds: list[float] = []
    processor: list[float] = []
    for number, who in enumerate((chosen[0], *chosen)):  # the first one warms up
        tasks = tuple(
            ScanTask(scan, f"{number}", {}, ScanOutputs.of(who, scan.session_id, folder))
            for scan in cohort.scans
            if scan.participant_id == who
        )
        task = ParticipantTask(tasks, frozenset(one.scan.key for one in tasks))
        quality = quality_task(task, folder / str(number), segmenter.preprocessing)
        begun, worked = time.perf_counter(), time.process_time()
        segment_participant(replace(task, quality=quality))
        if number:
            seconds += [(time.perf_counter() - begun) / len(tasks)] * len(tasks)
            processor += [(time.process_time() - worked) / len(tasks)] * len(tasks)
    uncached = []
    for scan in cohort.scans[:: len(cohort.scans) // UNCACHED][:UNCACHED]:
        begun = time.perf_counter()
        prepare_scan(scan, settings.cohort.prepared, settings=segmenter.preprocessing)
        uncached.append(time.perf_counter() - begun)
    return {
        "scans": len(seconds),
        "seconds_a_scan": mean(seconds),
        "processor_seconds_a_scan": mean(processor),
        "loading_the_segmenter_s": loading,
        "preprocessing_without_cache_s_a_scan": median(uncached),
    }


def whole(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Seconds of infer.py over the cohort, and its memory over time."""
    begun, before = time.perf_counter(), processor_seconds()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "infer.py"), *overrides(given, folder)],
        cwd=given.work, env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    memory: list[tuple[float, float, float]] = []
    while process.poll() is None:
        sizes = sizes_mb(process.pid)
        memory.append((time.perf_counter() - begun, sum(sizes), max(sizes, default=0.0)))
        time.sleep(LOOK_SECONDS)
    if process.returncode:
        raise SystemExit(f"infer.py ended with status {process.returncode}")
    return {
        "seconds": time.perf_counter() - begun,
        "processor_seconds": processor_seconds() - before,
        "memory": memory,
    }


def processor_seconds() -> float:
    """Of all processes that were started here and have ended, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def sizes_mb(pid: int) -> list[float]:
    """Resident memory of a process and its children, in MB (10^6 bytes)."""
    try:
        parent = psutil.Process(pid)
        every = (parent, *parent.children(recursive=True))
        return [process.memory_info().rss / 1e6 for process in every]
    except psutil.NoSuchProcess:  # one ended between two looks
        return []


def over_time(memory: list[tuple[float, float, float]]) -> dict[str, float]:
    """Largest memory of all processes together, by thirds of the time between start and end."""
    end = memory[-1][0]
    thirds = [[both for at, both, _ in memory if k / 3 <= at / end < (k + 1) / 3] for k in range(3)]
    return {
        "all_processes_first_third_mb": round(max(thirds[0])),
        "all_processes_second_third_mb": round(max(thirds[1])),
        "all_processes_last_third_mb": round(max(thirds[2])),
        "largest_process_mb": round(max(largest for _, _, largest in memory)),
    }


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Everything, in order."""
    single = one_by_one(given)
    logger.info("one by one: %s", json.dumps(single))
    folder = given.work / "cohort"
    shutil.rmtree(folder, ignore_errors=True)
    first = whole(given, folder)
    again = whole(given, folder)
    (table,) = folder.rglob("lesion_measurements.tsv")
    scans = len(table.read_text(encoding="utf-8").splitlines()) - 1
    cores = given.processes or len(os.sched_getaffinity(0))
    expected = scans * single["seconds_a_scan"] / cores
    files = [path for path in table.parent.rglob("*") if path.is_file()]
    return {
        "scans": scans,
        "cores": cores,
        "one_by_one": {k: round(v, 3) for k, v in single.items()},
        "cohort_s": round(first["seconds"], 1),
        "scans_times_one_over_cores_s": round(expected, 1),
        "ratio": round(first["seconds"] / expected, 3),
        "processor_s": round(first["processor_seconds"], 1),
        "ratio_of_processor_time": round(
            first["processor_seconds"] / (scans * single["processor_seconds_a_scan"]), 3
        ),
        "second_run_s": round(again["seconds"], 2),
        "memory": over_time(first["memory"]),
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "table_bytes": table.stat().st_size,
    }


def main() -> None:
    """Warm the cache if need be, measure, write down."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--model-version", default=str(ROOT / "models/lesion-segmenter"))
    parser.add_argument("--work", type=Path, default=ROOT / "build/bench_cohort")
    parser.add_argument("--warm", type=Path, help="a cache that has the preprocessing")
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results/cohort.json")
    given = parser.parse_args()
    given.data, given.work = given.data.resolve(), given.work.resolve()
    given.work.mkdir(parents=True, exist_ok=True)
    given.cache = (given.warm or given.work / "cache").resolve()
    if given.warm is None and not given.cache.is_dir():
        whole(given, given.work / "warming")
    found = measure(given)
    given.results.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    logger.info("%s", json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
