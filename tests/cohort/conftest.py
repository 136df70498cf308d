"""Fixtures of the cohort tests."""

import pytest
from tests.cohort.cohort_files import BidsTree


@pytest.fixture
def tree(tmp_path):
    return BidsTree(tmp_path / "data").write()
