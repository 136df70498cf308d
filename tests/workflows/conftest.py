from pathlib import Path

import pytest
from tests.workflows.analysis_cohort import make_study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A cohort of tables only (`make_study`)."""
    return make_study(tmp_path)
