from pathlib import Path

import pytest
from tests.report.html.pages import analysed

from lesion_dynamics.report.html.results import Results, read_results


@pytest.fixture(scope="package")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study, analysed; read only."""
    folder = tmp_path_factory.mktemp("study")
    analysed(folder)
    return folder


@pytest.fixture
def results(study_folder: Path) -> Results:
    return read_results(study_folder / "results")
