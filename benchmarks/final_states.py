"""How a training ended, and what the tracking server says of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg2
from kill_training import ROOT, SETTINGS

_PATIENCE_SECONDS = 180
RIGHT_STATES = {
    "by itself": "FINISHED",
    "by an error": "FAILED",
    "by Ctrl-C": "KILLED",
    "by SIGKILL": "KILLED",
}


def final_states(place: Path, uri: str, database: str) -> dict[str, str]:
    """Trainings that end in every way; what the server holds of each once it was spoken to again.

    The one that was killed cannot speak: the next command does, here ``deliver``.
    """
    data = place / "data" / "training"
    cohort = [f"cohort.root={data}", f"cohort.reference_masks={data}/derivatives/reference"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "PYTHONWARNINGS": "ignore"}
    endings = {
        "by itself": None, "by an error": None,
        "by Ctrl-C": signal.SIGINT, "by SIGKILL": signal.SIGKILL,
    }  # fmt: skip
    found = {}
    for number, (ending, sent) in enumerate(endings.items()):
        folder = place / f"ending{number}"
        folder.mkdir()
        epochs = 4 if sent is None else 10_000
        own = [f"tracking.experiment=ending{number}", "tracking=server", f"trainer.epochs={epochs}",
               "trainer.early_stopping_patience=0"]  # fmt: skip
        if ending == "by an error":
            own.append("trainer.accelerator=gpu")
        end(folder, environment, [*SETTINGS, *cohort, *own], sent)
        subprocess.run(
            [sys.executable, "-m", "lesion_dynamics.commands", "deliver", "tracking=server",
             f"tracking.experiment=ending{number}"],
            cwd=folder, env=environment, capture_output=True, check=True,
        )  # fmt: skip
        with psycopg2.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(
                "select r.status from runs r join experiments e using (experiment_id)"
                " where e.name = %s", (f"ending{number}",),
            )  # fmt: skip
            found[ending] = ", ".join(status for (status,) in cursor.fetchall())
    return found


def end(
    folder: Path,
    environment: Mapping[str, str],
    arguments: Sequence[str],
    sent: signal.Signals | None,
) -> None:
    """A training that ends by itself, or gets a signal after its first epoch."""
    with (folder / "log.txt").open("ab") as log:
        training = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *arguments],
            cwd=folder, env=environment, stdout=log, stderr=log,
            # A shell's background job, and what it starts, would not hear Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    try:
        while sent is not None:
            if b": training_loss" in (folder / "log.txt").read_bytes():
                training.send_signal(sent)
                break
            if training.poll() is not None:
                raise SystemExit((folder / "log.txt").read_text()[-2000:])
            time.sleep(0.1)
        training.wait(timeout=_PATIENCE_SECONDS)
    finally:
        training.kill()
