from pathlib import Path

import pytest
from tests.workflows.analysis_cohort import make_study
from tests.workflows.checked_cohort import Cohort


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A cohort of tables only (`make_study`)."""
    return make_study(tmp_path)


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """A cohort with nothing wrong."""
    tree = Cohort(tmp_path / "data").write()
    tree.prepared = type(tree.prepared)()
    return tree
