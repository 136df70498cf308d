"""One tiny phantom for all tests of the phantom."""

from __future__ import annotations

from pathlib import Path

import pytest

from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.settings.phantom import PhantomSettings

TINY = PhantomSettings(
    variant="small",
    seed=7,
    voxel_size_mm=4.0,
    training_ms=2,
    training_nmosd=2,
    training_lesion_free=1,
    study_ms=2,
    study_nmosd=2,
    study_lesion_free=1,
    sessions_per_participant=2,
    irregular_participants=0,
)


@pytest.fixture(scope="session")
def settings() -> PhantomSettings:
    return TINY


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory, settings: PhantomSettings) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "data"
    generate(settings, root, processes=1)
    return root
