"""A real ``mlflow server`` on loopback that can be killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

_PATIENCE_SECONDS = 120
_VARIABLES = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Seven more processes for evaluation jobs that nothing here asks for.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class TrackingServer:
    """``mlflow server`` with its database and artifacts in ``folder``, or where it is told.

    backend : address of the database; sqlite in the folder if None.
    artifacts : where the server keeps artifacts, for example s3://bucket; the folder if None.
    """

    folder: Path
    backend: str | None = None
    artifacts: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        backend = self.backend or f"sqlite:///{self.folder / 'mlflow.db'}"
        artifacts = self.artifacts or str(self.folder / "artifacts")
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
                    *("--port", str(self.port), "--artifacts-destination", artifacts),
                    *("--workers", "1"),
                ],
                cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
                # The address may hold a password: not among the arguments, which all can see.
                env=os.environ | _VARIABLES | self.variables
                | {"MLFLOW_BACKEND_STORE_URI": backend},
            )  # fmt: skip
        try:
            wait_for(f"{self.uri}/health", self._process)
        except SystemExit as error:
            said = (self.folder / "server.log").read_text(errors="replace")
            raise SystemExit(f"{error}: {said[-2000:]}") from None

    def kill(self) -> None:
        """End it and its workers with SIGKILL, as a crash would."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Until ``address`` answers, whatever it answers."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"{address}: the server ended by itself with {process.returncode}")
        try:
            urllib.request.urlopen(address, timeout=2).close()  # noqa: S310
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"{address} does not answer")
