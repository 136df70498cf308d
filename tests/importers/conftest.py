from pathlib import Path

import pytest
from tests.importers.upstream_trees import PhantomScan


@pytest.fixture(scope="session")
def scan(small_phantom: Path) -> PhantomScan:
    return PhantomScan.all_of(small_phantom)[0]
