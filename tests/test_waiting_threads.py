from __future__ import annotations

import os

import pytest

from lesion_dynamics.waiting_threads import WAIT_POLICY, let_waiting_threads_sleep


def test_threads_sleep_unless_the_user_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WAIT_POLICY, "ACTIVE")
    let_waiting_threads_sleep()
    assert os.environ[WAIT_POLICY] == "ACTIVE"
    monkeypatch.delenv(WAIT_POLICY)
    let_waiting_threads_sleep()
    assert os.environ[WAIT_POLICY] == "PASSIVE"
