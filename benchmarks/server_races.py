"""Machines that do the same thing at the same moment, against one real server.

python benchmarks/server_races.py starts ``mlflow server`` on loopback; ``server_stack.py`` (make
test-server) calls `races` with one on PostgreSQL and S3. Every process has a tracking folder of
its own, as another machine would, so that no file lock stands between them.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from tracking_server import TrackingServer

from lesion_dynamics.errors import UserError
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    WEIGHTS_FILE,
    load_manifest,
)
from lesion_dynamics.records.promotion_log import PromotionLog
from lesion_dynamics.records.registry import register, resolve
from lesion_dynamics.records.shipped import SHIPPED_FOLDER, SHIPPED_NAME
from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.records.store import connect
from lesion_dynamics.records.training_run import TrainingRun
from lesion_dynamics.settings.promotion import PromoteSettings
from lesion_dynamics.settings.tracking import TrackingSettings

logger = logging.getLogger("server_races")
NAME = "raced"
MACHINES = 6
PRELOADED = ["hydra", "lesion_dynamics.workflows.releases.promotion",
             "lesion_dynamics.records.spooled_run"]  # fmt: skip


def machine(place: Path, uri: str, number: int) -> TrackingSettings:
    """Settings of a machine that shares nothing with the others but the server."""
    return TrackingSettings(folder=place / f"machine{number}", uri=uri, experiment="races")


def a_run(tracking: TrackingSettings, number: int) -> str:
    """A run with metrics, on whatever store there is."""
    run = SpooledRun.start(tracking, name=f"run{number}", tags={})
    for step in range(20):
        run.log_metrics({"loss": 1 / (step + 1)}, step=step)
    run.finish()
    run.close()
    return str(run.run_id)


def the_baseline(tracking: TrackingSettings, _number: int) -> str:
    """The version that comes with the package, asked for by its name."""
    return resolve(f"{SHIPPED_NAME}@candidate", tracking).label


def a_registration(tracking: TrackingSettings, number: int) -> str:
    """A version of a name that nobody had before; one training's weights each."""
    folder = tracking.folder / "version"
    folder.mkdir(parents=True)
    for name in (WEIGHTS_FILE, MANIFEST_FILE, MODEL_CARD_FILE):
        shutil.copyfile(SHIPPED_FOLDER / name, folder / name)
    manifest = load_manifest(folder).model_copy(update={"name": NAME})
    said = {**manifest.model_dump(mode="json"), "training": {"machine": number}}
    (folder / MANIFEST_FILE).write_text(json.dumps(said))
    store = connect(tracking)
    run = TrainingRun.start(store, name="run", tags={})
    version = register(store, run_id=run.run_id, folder=folder)
    run.finish()
    return version.label


def a_promotion(tracking: TrackingSettings, number: int) -> str:
    """Assessed before all of them promote; who wins, or what the others are told."""
    from lesion_dynamics.workflows.releases.promotion import assess, commit

    settings = promotion_of(tracking, number % MACHINES + 1)
    assessment = assess(settings)
    _together.wait(timeout=120)
    try:
        return str(commit(assessment, settings)["to"])
    except UserError as error:
        return f"told: {error.what}"


def promotion_of(tracking: TrackingSettings, number: int) -> PromoteSettings:
    """By force: what is tried here is not the gates."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    conf = str(Path(__file__).parents[1] / "conf")
    given = [f"model_version={NAME}/{number}", "force=true", "reason=race", "who=race",
             "results=nowhere"]  # fmt: skip
    with initialize_config_dir(conf, version_base="1.3"):
        values: Any = OmegaConf.to_container(compose("promote", given), resolve=True)
    return PromoteSettings.model_validate({**values, "tracking": tracking.model_dump()})


_together: Any = None


def _begin(barrier: Any) -> None:
    global _together  # what each process of the pool keeps
    _together = barrier


def _one(what: Callable[[TrackingSettings, int], str], place: Path, uri: str, number: int) -> str:
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    tracking = machine(place, uri, number)
    if what is not a_promotion:  # that one waits after its assessment
        _together.wait(timeout=120)
    return what(tracking, number)


def at_once(what: Callable[..., str], place: Path, uri: str, *, processes: int) -> list[str]:
    """The same thing in so many processes, let go at the same moment."""
    context = multiprocessing.get_context("forkserver")  # what they import is imported once
    context.set_forkserver_preload(PRELOADED)
    barrier = context.Barrier(processes)
    with context.Pool(processes, initializer=_begin, initargs=(barrier,)) as pool:
        given = [(what, place, uri, number) for number in range(processes)]
        return pool.starmap(_one, given, chunksize=1)


def races(place: Path, uri: str, *, rounds: int) -> tuple[list[str], dict[str, Any]]:
    """Run them all; what is not as it should be, and what was seen."""
    found: list[str] = []
    client = MlflowClient(uri, uri)
    runs = at_once(a_run, place / "runs", uri, processes=MACHINES)
    states = [client.get_run(run).info.status for run in set(runs)]
    if states != ["FINISHED"] * MACHINES:
        found.append(f"{MACHINES} processes on a fresh store: {states}")
    labels = at_once(the_baseline, place / "baseline", uri, processes=4)
    versions = client.search_model_versions(f"name='{SHIPPED_NAME}'")
    if set(labels) != {f"{SHIPPED_NAME}/1"} or len(versions) != 1:
        found.append(f"the baseline, asked for by 4: {labels}, {len(versions)} versions")
    labels = at_once(a_registration, place / "registrations", uri, processes=MACHINES)
    newest = client.get_model_version_by_alias(NAME, "candidate").version
    if sorted(labels) != [f"{NAME}/{n + 1}" for n in range(MACHINES)] or int(newest) != MACHINES:
        found.append(f"registered at once: {labels}; candidate is {newest}")
    seen = [promotions(place / f"promotions{number}", uri) for number in range(rounds)]
    found += [fault for faults, _ in seen for fault in faults]
    told = [said for _, all_said in seen for said in all_said if said.startswith("told")]
    return found, {
        "runs_on_a_fresh_store": len(runs),
        "asked_for_the_baseline": 4,
        "baseline_versions": len(versions),
        "registered_at_once": MACHINES,
        "rounds_of_promotions": rounds,
        "promotions_at_once": MACHINES,
        "winners": rounds * MACHINES - len(told),
        "told": len(told),
    }


def promotions(place: Path, uri: str) -> tuple[list[str], list[str]]:
    """One round: faults, and what each promotion said."""
    client = MlflowClient(uri, uri)
    here = machine(place, uri, MACHINES)
    log = PromotionLog(connect(here), NAME, here)
    before = log.entries()
    alias = "champion"
    if before:  # so that every version may be promoted
        client.delete_registered_model_alias(NAME, alias)
    said = at_once(a_promotion, place, uri, processes=MACHINES)
    won = [one for one in said if not one.startswith("told")]
    entries = log.entries()
    champion = f"{NAME}/{client.get_model_version_by_alias(NAME, alias).version}"
    right = (
        len(won) == 1
        and won[0] == champion
        and len(entries) == len(before) + 1
        and entries[-1]["to"] == champion
    )
    return [] if right else [f"promoted at once: {said}; champion {champion}"], said


def main() -> int:
    """A server on sqlite and a folder, and the races."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends with it
    with tempfile.TemporaryDirectory() as temporary:
        server = TrackingServer(Path(temporary) / "server")
        try:
            server.start()
            found, seen = races(Path(temporary), server.uri, rounds=given.rounds)
        finally:
            server.kill()
    logger.info("%s: %s", seen, found or "all as it should be")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
