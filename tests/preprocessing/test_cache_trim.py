"""What goes when the cache folder grows too large, beside other processes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lesion_dynamics.preprocessing.step_cache import StepCache, trim
from lesion_dynamics.settings.cache import CacheSettings


def test_the_entries_used_longest_ago_go_first(tmp_path: Path) -> None:
    cache = StepCache(tmp_path)
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 255, 1000).astype(np.uint8)
        cache.arrays("step", f"key{number}", lambda noise=noise: {"a": noise})
        os.utime(tmp_path / f"step/key{number}.entry", (1000.0 + number,) * 2)
    cache.arrays("step", "key0", dict)  # found, and so used last
    size = (tmp_path / "step/key0.entry").stat().st_size
    held = trim(CacheSettings(folder=tmp_path, largest_gb=2.5 * size / 1e9))
    assert sorted(path.name for path in tmp_path.rglob("*.entry")) == ["key0.entry", "key3.entry"]
    assert held == sum(path.stat().st_size for path in tmp_path.rglob("*.entry"))


def test_a_folder_that_another_process_removes_meanwhile_disturbs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    StepCache(tmp_path).arrays("step", "key", lambda: {"a": np.arange(5)})
    going = tmp_path / "objects/0/sub-a"
    going.mkdir(parents=True)
    visits: list[str] = []
    real = os.scandir

    def scandir(folder: str) -> object:
        if str(folder) == str(going):
            visits.append(str(folder))
            if len(visits) == 2:  # the first looked for unfinished files
                going.rmdir()
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    held = trim(CacheSettings(folder=tmp_path, largest_gb=1))
    assert len(visits) == 2
    assert held == (tmp_path / "step/key.entry").stat().st_size
