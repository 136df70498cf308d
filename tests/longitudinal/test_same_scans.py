import pandas as pd

from lesion_dynamics.longitudinal.measurements import check_measurements
from lesion_dynamics.longitudinal.same_scans import same_scans

SESSIONS = pd.DataFrame(
    {
        "participant_id": ["sub-01", "sub-01", "sub-02", "sub-02"],
        "session_id": ["ses-01", "ses-02", "ses-01", "ses-02"],
        "days_from_baseline": [0.0, 365.25, 0.0, 365.25],
    }
)


def measured(*, failed: tuple[int, ...] = (), absent: tuple[int, ...] = (), version: str = "m/1"):
    table = SESSIONS[["participant_id", "session_id"]].assign(
        model_version=version, lesion_volume_mm3=[1.0, 2.0, 3.0, 4.0], status="measured", reason=""
    )
    for index in failed:
        table.loc[index, ["lesion_volume_mm3", "status", "reason"]] = [None, "failed", "truncated"]
    return table.drop(index=list(absent))


def test_nothing_is_left_out_when_everything_was_measured():
    found = same_scans(check_measurements(measured(), where="t"), SESSIONS)
    assert found.left_out.empty
    assert list(found.left_out.columns) == ["participant_id", "session_id", "reason"]
    assert len(found.volumes) == len(found.sessions) == 4


def test_a_scan_that_one_version_lacks_is_left_out_of_all_with_every_reason():
    both = pd.concat(
        [measured(failed=(1,)), measured(version="m/2", absent=(1, 2))], ignore_index=True
    )
    found = same_scans(check_measurements(both, where="t"), SESSIONS)
    assert found.volumes.groupby("model_version")["lesion_volume_mm3"].agg(list).to_dict() == {
        "m/1": [1.0, 4.0],
        "m/2": [1.0, 4.0],
    }
    assert found.left_out.to_dict("records") == [
        {
            "participant_id": "sub-01",
            "session_id": "ses-02",
            "reason": "m/1: truncated; m/2: not in the table",
        },
        {"participant_id": "sub-02", "session_id": "ses-01", "reason": "m/2: not in the table"},
    ]
