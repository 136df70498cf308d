"""Fixtures of the segmenter's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.segmenter.training_scan_files import write_scan

from lesion_dynamics.segmenter.training_scans import TrainingScan


@pytest.fixture
def scans(tmp_path: Path) -> list[TrainingScan]:
    """Two scans with a lesion of 12 voxels, one without."""
    return [write_scan(tmp_path, number, lesion=number != 2) for number in range(3)]
