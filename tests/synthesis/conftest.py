"""One drawn head, shared: drawing takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from lesion_dynamics.settings.synthesis import HeadSettings
from lesion_dynamics.synthesis.fields import Draws
from lesion_dynamics.synthesis.head import Head, draw_head
from lesion_dynamics.synthesis.head_store import StoredHead, load_head, store_head

SEED = 13
FORMER = HeadSettings()
TODAY = HeadSettings(brainstem=True, infratentorial_lesions=1.0, even_lesions=1.0)


@pytest.fixture(scope="session")
def head() -> Head:
    return draw_head(Draws(3), FORMER)


@pytest.fixture(scope="session")
def head_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_head(
        0, seed=SEED, shape_files=(), settings=FORMER, folder=tmp_path_factory.mktemp("heads")
    )


@pytest.fixture(scope="session")
def stored(head_file: Path) -> StoredHead:
    return load_head(head_file)
