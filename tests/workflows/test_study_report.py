import json
import shutil

import pandas as pd
import pytest
from tests.workflows.analysis_cohort import make_study, settings, tsv

from lesion_dynamics.commands.__main__ import main
from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.model_version import MANIFEST_FILE
from lesion_dynamics.records.shipped import SHIPPED_FOLDER
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.study_report import ReportSettings
from lesion_dynamics.workflows import analysis
from lesion_dynamics.workflows.study_report.pages import run
from lesion_dynamics.workflows.study_report.version_files import facts_of_versions

PAGES = {"segmenter-v1.html", "segmenter-v2.html", "comparison.html"}
SHIPPED = json.loads((SHIPPED_FOLDER / MANIFEST_FILE).read_text())


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """The small study with its report; the second version has the weights of the baseline."""
    folder = make_study(tmp_path_factory.mktemp("report"))
    path = folder / "derivatives" / "segmenter-v2" / "lesion_measurements.tsv"
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    tsv(path, table.assign(weights_sha256=SHIPPED["weights_sha256"]))
    analysis.run(settings(folder, report=True))
    return folder


def report_of(folder, **values):
    return run(validated(ReportSettings, {"results": folder / "results", "models": [], **values}))


def test_analysis_makes_the_report_and_the_command_the_same_one_again(analysed, monkeypatch):
    folder = analysed / "results" / "report"
    made = {path.name: path.read_bytes() for path in folder.glob("*.html")}
    assert set(made) == PAGES
    again = report_of(analysed, measurements=[str(analysed / "derivatives")])
    assert {name: path.read_bytes() for name, path in again.items()} == made
    monkeypatch.chdir(analysed)
    (folder / "comparison.html").unlink()
    assert main(["report", "results=results", "measurements=[derivatives]", "models=[]"]) == 0
    assert (folder / "comparison.html").read_bytes() == made["comparison.html"]


def test_one_version_alone_and_one_that_is_not_there(analysed, tmp_path):
    shutil.copytree(analysed / "results", tmp_path / "results")
    shutil.rmtree(tmp_path / "results" / "report")
    written = report_of(tmp_path, model_version="segmenter/1")
    assert set(written) == {"segmenter-v1.html", "comparison.html"}
    assert {p.name for p in (tmp_path / "results" / "report").iterdir()} == {
        *written,
        "lineage.json",
    }
    with pytest.raises(MeasurementsError, match=r"no model version segmenter/9.*segmenter/1"):
        report_of(tmp_path, model_version="segmenter/9")
    with pytest.raises(MeasurementsError, match="no folder of results"):
        report_of(tmp_path / "nowhere")


def test_the_manifest_is_found_by_the_hash_of_the_weights(analysed, tmp_path):
    path = analysed / "derivatives" / "segmenter-v2" / "lesion_measurements.tsv"
    # The shipped baseline's is always known.
    assert facts_of_versions([path], [])["segmenter/2"].manifest["name"] == SHIPPED["name"]
    table = pd.read_csv(path, sep="\t", keep_default_na=False).assign(weights_sha256="ab" * 32)
    other = tmp_path / "segmenter-v2" / "lesion_measurements.tsv"
    tsv(other, table)
    assert facts_of_versions([other], [])["segmenter/2"].manifest is None
    manifest = tmp_path / "store" / "run" / "artifacts" / "segmenter" / MANIFEST_FILE
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({**SHIPPED, "name": "mine", "weights_sha256": "ab" * 32}))
    (tmp_path / "store" / MANIFEST_FILE).write_text('{"not": "ours"}')
    facts = facts_of_versions([other], [str(tmp_path / "store")])["segmenter/2"]
    assert facts.manifest["name"] == "mine"
    assert facts.folder == other.parent


def test_models_and_measurements_reach_the_page(analysed, tmp_path, monkeypatch):
    shutil.copytree(analysed / "results", tmp_path / "results")
    page = tmp_path / "results" / "report" / "segmenter-v2.html"
    monkeypatch.chdir(tmp_path)
    report_of(tmp_path)
    # From another folder the tables that the analysis read are not found again.
    assert "manifest of this model version is not at hand" in page.read_text()
    report_of(tmp_path, measurements=[str(analysed / "derivatives")])
    assert "Dice, mean" in page.read_text()
    moved = tmp_path / "elsewhere"
    shutil.copytree(analysed / "derivatives", moved)
    path = moved / "segmenter-v2" / "lesion_measurements.tsv"
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    tsv(path, table.assign(weights_sha256="cd" * 32))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / MANIFEST_FILE).write_text(
        json.dumps({**SHIPPED, "weights_sha256": "cd" * 32})
    )
    report_of(tmp_path, measurements=[str(moved)])
    assert "Dice, mean" not in page.read_text()
    report_of(tmp_path, measurements=[str(moved)], models=[str(tmp_path / "own")])
    assert "Dice, mean" in page.read_text()


def test_scan_pages_are_linked_where_they_are(analysed, tmp_path):
    for name in ("results", "derivatives"):
        shutil.copytree(analysed / name, tmp_path / name)
    index = tmp_path / "derivatives" / "segmenter-v1" / "pages" / "index.html"
    index.parent.mkdir()
    index.write_text("scans")
    report_of(tmp_path, measurements=[str(tmp_path / "derivatives")])
    folder = tmp_path / "results" / "report"
    link = 'href="../../derivatives/segmenter-v1/pages/index.html"'
    assert link in (folder / "segmenter-v1.html").read_text()
    assert "pages/index.html" not in (folder / "segmenter-v2.html").read_text()
    assert link in (folder / "comparison.html").read_text()
