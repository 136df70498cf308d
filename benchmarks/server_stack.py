"""A group's server on loopback: PostgreSQL, an S3 store, MLflow; and the whole loop against it.

python benchmarks/server_stack.py (make test-server). Starts the real PostgreSQL (Debian's package
``postgresql``), an S3-speaking server (moto) and ``mlflow server`` on both, each with a password
made up for the occasion; trains on the small phantom, segments, analyses, then lets four processes
write at once; checks what arrived, by SQL and by S3. Then trainings end in every way there is, and
the server must know how; and several machines register and promote at the same moment
(`server_races`). Stops everything. Exits with 0 and the reason where PostgreSQL is missing, with 1
if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import boto3
import psycopg2
from final_states import RIGHT_STATES, final_states
from kill_training import ROOT, SETTINGS
from server_races import races
from tracking_server import TrackingServer, free_port, wait_for

from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.settings.phantom import PhantomSettings
from lesion_dynamics.settings.tracking import TrackingSettings

logger = logging.getLogger("server_stack")
WRITERS, STEPS = 4, 50
BUCKET = "lesion-dynamics"
DRIVER = "+psycopg2://"
"""SQLAlchemy 2.1 takes psycopg 3 where nothing is said."""


def postgres_programs() -> Path | None:
    """Folder of ``initdb`` and ``pg_ctl``: Debian keeps them out of the PATH."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def postgres(programs: Path, folder: Path, password: str) -> Iterator[str]:
    """A PostgreSQL of its own in ``folder``; the address of an empty database."""
    port = free_port()
    # It refuses to run as root.
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder.mkdir()
    secret = folder / "password"
    secret.write_text(password)
    if prefix:
        for path in (folder, secret):
            shutil.chown(path, "postgres")

    def call(program: str, *arguments: str) -> None:
        subprocess.run(
            [*prefix, str(programs / program), *arguments],
            cwd=folder, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    data = folder / "data"
    call(
        "initdb", "--pgdata", str(data), "--username", "mlflow", "--auth", "scram-sha-256",
        "--pwfile", str(secret), "--no-sync",
    )  # fmt: skip
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    call(
        "pg_ctl", "--pgdata", str(data), "--wait", "-l", str(folder / "log"), "-o", options, "start"
    )
    try:
        yield f"postgresql://mlflow:{password}@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "--pgdata", str(data), "--mode", "immediate", "stop")


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """An S3 store with an empty bucket; its address."""
    port = free_port()
    folder.mkdir()
    address = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(address, process)
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def loop(place: Path, uri: str) -> None:
    """Train, infer, analyze, as a user would; the inference in a folder of its own."""
    data = place / "data"
    training = [f"cohort.root={data}/training"]
    training += [f"cohort.reference_masks={data}/training/derivatives/reference"]
    study = [
        f"cohort.root={data}/study",
        f"cohort.truth={data}/truth/study/lesion_measurements.tsv",
    ]
    commands = [
        ("train.py", "first", [*SETTINGS, *training, "tracking=server", "trainer.epochs=4"]),
        ("infer.py", "second", ["tracking=server", "model_version=lesion-segmenter/1",
                                "executor.processes=1", *study]),
        ("analyze.py", "second", study),
    ]  # fmt: skip
    for script, name, arguments in commands:
        folder = place / name
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, str(ROOT / script), *arguments],
            cwd=folder, env=os.environ | {"MLFLOW_TRACKING_URI": uri, "PYTHONWARNINGS": "ignore"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        logger.info("%s: status %d", script, done.returncode)
        if done.returncode != 0:
            raise SystemExit(done.stderr[-3000:])


def write(folder: Path, uri: str, name: str) -> str | None:
    """One of the writers: a run with metrics and a file."""
    settings = TrackingSettings(folder=folder / name, uri=uri, experiment="writers")
    run = SpooledRun.start(settings, name=name, tags={})
    for step in range(STEPS):
        run.log_metrics({"loss": 1 / (step + 1), "score": step / STEPS}, step=step)
    run.log_json({"writer": name}, "writer.json")
    run.finish()
    run.close()
    return run.run_id


def four_writers(place: Path, uri: str) -> list[str | None]:
    """Four processes that write at the same time; their run ids."""
    names = [f"writer{number}" for number in range(WRITERS)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WRITERS, mp_context=context) as pool:
        return list(pool.map(write, [place / "writers"] * WRITERS, [uri] * WRITERS, names))


def faults(place: Path, database: str, s3: str, runs: list[str | None]) -> list[str]:
    """What is not as it should be."""
    found = []
    with psycopg2.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("select status, count(*) from runs group by status")
        if dict(cursor.fetchall()) != {"FINISHED": WRITERS + 1}:
            found.append("not every run is FINISHED")
        cursor.execute(
            "select count(*), count(distinct (run_uuid, key, step)) from metrics"
            " where run_uuid = any(%s)", ([run for run in runs if run],),
        )  # fmt: skip
        if cursor.fetchone() != (2 * WRITERS * STEPS, 2 * WRITERS * STEPS):
            found.append("the writers' metrics are not complete, or doubled")
        cursor.execute("select name, version from model_versions")
        if cursor.fetchall() != [("lesion-segmenter", 1)]:
            found.append("the model version is not registered once")
    client = boto3.client("s3", endpoint_url=s3)
    keys = [one["Key"] for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    for ending, count in (("weights.safetensors", 1), ("writer.json", WRITERS)):
        if sum(key.endswith(ending) for key in keys) != count:
            found.append(f"not {count} {ending} in the bucket")
    paths = (
        "derivatives/study/lesion-segmenter-v1/lesion_measurements.tsv",
        "results/study/study.txt",
    )
    found += [f"no {path}" for path in paths if not (place / "second" / path).is_file()]
    return found


def main() -> int:
    """Start, run, check, stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="write what was seen to this JSON file")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers end with it
    programs = postgres_programs()
    if programs is None:
        logger.info("skipped: PostgreSQL is not installed (apt-get install postgresql)")
        return 0
    password = secrets.token_urlsafe(16)
    timed = Stopwatch()
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
                   "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        place.chmod(0o755)
        generate(PhantomSettings.of_variant("small", seed=11), place / "data", processes=2)
        with (
            postgres(programs, place / "postgres", password) as database,
            s3_server(place / "s3") as s3,
        ):
            server = TrackingServer(
                place / "server", backend=database.replace("://", DRIVER, 1), artifacts=f"s3://{BUCKET}",
                variables={"MLFLOW_S3_ENDPOINT_URL": s3},
            )  # fmt: skip
            try:
                server.start()
                timed("data, PostgreSQL, S3 and MLflow")
                loop(place, server.uri)
                runs = four_writers(place, server.uri)
                found = faults(place, database, s3, runs)
                timed("train, infer, analyze, four writers")
                states = final_states(place, server.uri, database)
                found += [] if states == RIGHT_STATES else [f"ended, and recorded: {states}"]
                timed("trainings that end in every way")
                raced, seen = races(place / "races", server.uri, rounds=3)
                found += raced
                timed("machines at the same moment")
            finally:
                server.kill()
    logger.info("final states: %s; at once: %s", states, seen)
    logger.info("%s", found or "all as it should be")
    if given.results is not None:
        said = {"faults": found, "final_states": states, "at_once": seen, "seconds": timed.seconds}
        given.results.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    return 1 if found else 0


class Stopwatch:
    """Seconds of each part."""

    def __init__(self) -> None:
        self.seconds: dict[str, int] = {}
        self._last = time.monotonic()

    def __call__(self, part: str) -> None:
        """``part`` has ended now."""
        now = time.monotonic()
        self.seconds[part] = round(now - self._last)
        self._last = now
        logger.info("%s: %d s", part, self.seconds[part])


if __name__ == "__main__":
    sys.exit(main())
