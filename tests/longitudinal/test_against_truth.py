import numpy as np
import pandas as pd

from lesion_dynamics.longitudinal.against_truth import volume_errors
from lesion_dynamics.settings.study import StudySettings


def scans(*volumes: float) -> pd.DataFrame:
    """Two scans of each participant."""
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{i // 2:02d}" for i in range(len(volumes))],
            "session_id": [f"ses-{i % 2}" for i in range(len(volumes))],
            "lesion_volume_mm3": volumes,
        }
    )


def test_errors_are_by_diagnosis_and_each_participant_counts_once():
    true = scans(100, 100, 0, 0, 0, 50)
    measured = scans(110, 130, 6, 2, 10, 50)
    participants = pd.DataFrame(
        {"participant_id": ["sub-00", "sub-01", "sub-02"], "diagnosis": ["MS", "NMOSD", "NMOSD"]}
    )
    table = volume_errors(
        measured, true, participants, model_version="m/1",
        settings=StudySettings(name="test", bootstrap_draws=100),
    )  # fmt: skip
    table = table[table["statistic"] == "median"]
    found = table.set_index(["diagnosis", "quantity"])["estimate"]
    assert found["MS", "volume_error_mm3"] == 20
    assert found["NMOSD", "volume_error_mm3"] == np.median([4, 5])
    assert found["NMOSD", "volume_in_lesion_free_scans_mm3"] == np.median([4, 10])
    assert np.isnan(found["MS", "volume_in_lesion_free_scans_mm3"])
    notes = table.set_index(["diagnosis", "quantity"])["note"]
    assert notes["MS", "volume_in_lesion_free_scans_mm3"] == "no scan is truly free of lesions"


def test_errors_are_told_by_lesion_load():
    true = scans(*np.repeat([0, 10, 100, 200, 1000, 3000], 2))
    measured = true.assign(lesion_volume_mm3=np.repeat([8, 16, 90, 180, 600, 1000], 2))
    people = pd.DataFrame({"participant_id": true["participant_id"].unique(), "diagnosis": "MS"})
    table = volume_errors(
        measured, true, people, model_version="m/1",
        settings=StudySettings(name="test", bootstrap_draws=100),
    )  # fmt: skip
    found = table[table["diagnosis"] == "MS"].set_index("statistic")
    assert found.loc["median, low load", "estimate"] == 7
    assert found.loc["median, middle load", "estimate"] == -15
    assert found.loc["median, high load", "estimate"] == -1200
    assert found.loc["median, high load", "role"] == "secondary"
