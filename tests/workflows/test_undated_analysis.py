"""Sessions of unknown day do not enter the analysis, and are named."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.conftest import ROOT

from lesion_dynamics.cohort.undated import REASON
from lesion_dynamics.errors import CohortError
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows import analysis
from lesion_dynamics.workflows.analysis_result import AnalysisResult

SCANS = ["participant_id", "session_id", "diagnosis", "days_from_baseline", "FLAIR"]
VOLUMES = ["participant_id", "session_id", "model_version", "lesion_volume_mm3"]


def analysed(folder: Path, scans: list[tuple[str, str, str, str, float]]) -> AnalysisResult:
    """Participant, session, diagnosis, day and volume of each scan."""
    folder.mkdir()
    manifest = [(*scan[:4], "image.nii.gz") for scan in scans]
    tsv(folder / "manifest.tsv", pd.DataFrame(manifest, columns=SCANS))
    attacks = pd.DataFrame({"participant_id": ["sub-MS0"], "attack_id": ["1"]})
    tsv(folder / "attacks.tsv", attacks.assign(days_from_baseline=-900))
    measured = [(scan[0], scan[1], "segmenter/1", scan[4]) for scan in scans]
    tsv(folder / "volumes.tsv", pd.DataFrame(measured, columns=VOLUMES))
    study = yaml.safe_load((ROOT / "conf/study/hong2025.yaml").read_text())
    study["bootstrap_draws"] = 100
    study["models"].update(bootstrap_draws=0, permutations=100)
    study["measurement_error"].update(bootstrap_draws=100)
    values = {
        "cohort": {"name": "own", "layout": "manifest", "root": folder},
        "measurements": str(folder / "volumes.tsv"), "study": study, "output": folder / "results",
    }  # fmt: skip
    settings = validated(AnalyzeSettings, values)
    return analysis.analyse(analysis.read_inputs(settings), settings)


def tsv(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, sep="\t", index=False)


DATED = [
    (f"sub-{diagnosis}{i}", f"ses-0{s + 1}", diagnosis, str(400 * s), 1000.0 * (i + 1) + gain * s)
    for diagnosis, gain in (("MS", 200.0), ("NMOSD", 20.0))
    for i in range(5)
    for s in range(2)
]


def test_undated_sessions_change_no_number_and_are_listed(tmp_path: Path) -> None:
    without = analysed(tmp_path / "without", DATED)
    undated = [("sub-MS1", "ses-03", "MS", "n/a", 9e4), ("sub-NMOSD2", "ses-00", "NMOSD", "n/a", 0)]
    result = analysed(tmp_path / "with", [*DATED, *undated])
    pd.testing.assert_frame_equal(result.statistics, without.statistics)
    pd.testing.assert_frame_equal(result.intervals, without.intervals)
    assert without.left_out.empty
    assert result.left_out.to_dict("records") == [
        {"participant_id": who, "session_id": session, "reason": REASON}
        for who, session, *_ in undated
    ]
    assert "Scans: 20 in every column; 2 left out." in result.text
    assert "Sessions of unknown day: 2" in result.text


def test_a_cohort_without_days_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="there is no interval to analyse"):
        analysed(tmp_path / "own", [(*scan[:3], "n/a", scan[4]) for scan in DATED])
