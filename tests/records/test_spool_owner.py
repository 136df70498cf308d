"""Whose a journal is, and which store's: the process, and an address without its password."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest

from lesion_dynamics.records.spool.owner import Owner
from lesion_dynamics.records.spool.pending import without_password


def test_whose_process_is_dead() -> None:
    here = Owner.here()
    assert not here.is_dead()
    assert Owner(here.machine, here.pid, here.started - 60).is_dead()  # the number was given anew
    gone = subprocess.Popen([sys.executable, "-c", ""])
    started = psutil.Process(gone.pid).create_time()
    gone.wait()
    assert Owner(here.machine, gone.pid, started).is_dead()
    assert not Owner("another machine", gone.pid, started).is_dead()
    assert Owner.of(json.loads(json.dumps(here.as_json()))) == here


@pytest.mark.parametrize(
    ("address", "written"),
    [
        (None, None),
        ("http://host:5000", "http://host:5000"),
        ("https://user:secret@host:5000/a", "https://host:5000/a"),
        ("postgresql://u:p%40ss@host/db", "postgresql://host/db"),
        ("postgresql://host/db?user=u&password=secret", "postgresql://host/db"),
    ],
)
def test_no_password_stands_in_the_spool(address: str | None, written: str | None) -> None:
    assert without_password(address) == written
