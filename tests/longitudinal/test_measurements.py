import pandas as pd
import pytest

from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.longitudinal.measurements import (
    COLUMNS,
    check_measurements,
    combine_measurements,
    model_versions,
    read_measurements,
    require_known_scans,
    write_measurements,
)


def row(**changed: object) -> dict[str, object]:
    return {
        "participant_id": "sub-01",
        "session_id": "ses-01",
        "model_version": "lesion-segmenter/3",
        "weights_sha256": "a" * 64,
        "probability_threshold": 0.5,
        "minimum_lesion_volume_mm3": 14.0,
        "connectivity": 26,
        "lesion_volume_mm3": 1234.5678,
        "lesion_count": 7,
        "largest_lesion_volume_mm3": 400.25,
        "brain_volume_mm3": 1.3e6,
        "voxel_volume_mm3": 3.375,
        "status": "measured",
        "reason": "",
        **changed,
    }


_VOLUMES = (
    "lesion_volume_mm3",
    "lesion_count",
    "largest_lesion_volume_mm3",
    "brain_volume_mm3",
    "voxel_volume_mm3",
)
FAILED = dict.fromkeys(_VOLUMES)


def check(*rows: dict[str, object]) -> pd.DataFrame:
    return check_measurements(pd.DataFrame(list(rows)), where="my.tsv")


def test_what_is_written_is_read_back_and_written_again_the_same(tmp_path):
    table = pd.DataFrame(
        [
            row(session_id="ses-02", **FAILED, status="failed", reason="FLAIR is all zero"),
            row(lesion_volume_mm3=0.0, lesion_count=0),
        ]
    )
    first, second = tmp_path / "a.tsv", tmp_path / "b.tsv"
    write_measurements(first, table)
    again = read_measurements(first)
    write_measurements(second, again)
    assert first.read_bytes() == second.read_bytes()
    assert list(again.columns) == list(COLUMNS)
    lines = first.read_text().splitlines()
    assert lines[1].split("\t")[7:9] == ["0.0", "0"]
    assert lines[2].split("\t")[7:] == [*["n/a"] * 5, "failed", "FLAIR is all zero"]


def test_failed_stays_missing_and_lesion_free_stays_zero(tmp_path):
    path = tmp_path / "t.tsv"
    write_measurements(
        path,
        pd.DataFrame([
            row(lesion_volume_mm3=0.0),
            row(session_id="ses-02", **FAILED, status="failed", reason="truncated"),
        ]),
    )  # fmt: skip
    volumes = read_measurements(path)["lesion_volume_mm3"]
    assert volumes[0] == 0.0
    assert pd.isna(volumes[1])


def test_volumes_are_kept_to_a_thousandth_of_a_mm3():
    assert check(row(lesion_volume_mm3=0.1 + 0.2))["lesion_volume_mm3"][0] == 0.3


def test_a_table_from_elsewhere_needs_four_columns_only():
    few = ("participant_id", "session_id", "model_version", "lesion_volume_mm3")
    table = check({name: row()[name] for name in few})
    assert table["status"].tolist() == ["measured"]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([row(), row()], "listed twice"),
        ([row(lesion_volume_mm3=-0.5)], "lesion_volume_mm3 is negative"),
        ([row(lesion_volume_mm3="big")], "lesion_volume_mm3 is not a number"),
        ([row(lesion_volume_mm3=float("inf"))], "lesion_volume_mm3 is not a number"),
        ([row(lesion_volume_mm3=None)], "measured scan has no lesion_volume_mm3"),
        ([row(**FAILED, status="failed")], "failed scan has no reason"),
        ([row(status="failed", reason="x")], "failed scan has a lesion_volume_mm3"),
        ([row(status="ok")], "status is neither"),
        ([row(session_id=None)], "session_id is missing"),
    ],
)
def test_bad_rows_are_refused_with_what_is_wrong(rows, what):
    with pytest.raises(MeasurementsError, match=what):
        check(*rows)


def test_the_message_names_file_scan_and_how_many_more():
    with pytest.raises(MeasurementsError) as raised:
        check(row(lesion_volume_mm3=-1), row(session_id="ses-02", lesion_volume_mm3=-1))
    assert str(raised.value).startswith("my.tsv: lesion_volume_mm3 is negative in the row of")
    assert "sub-01 ses-01 (lesion-segmenter/3) and in 1 more" in str(raised.value)


def test_missing_columns_are_named():
    with pytest.raises(MeasurementsError, match="missing columns session_id, lesion_volume_mm3"):
        check({"participant_id": "sub-01", "model_version": "m/1"})


def test_no_file_no_table_and_no_row_are_refused(tmp_path):
    with pytest.raises(MeasurementsError, match="no such table"):
        read_measurements(tmp_path / "none.tsv")
    with pytest.raises(MeasurementsError, match="this is a folder"):
        read_measurements(tmp_path)
    (tmp_path / "empty.tsv").write_text("")
    with pytest.raises(MeasurementsError, match="not a tab-separated table"):
        read_measurements(tmp_path / "empty.tsv")
    (tmp_path / "header.tsv").write_text("\t".join(COLUMNS) + "\n")
    with pytest.raises(MeasurementsError, match="no row"):
        read_measurements(tmp_path / "header.tsv")


def test_unknown_participants_and_sessions_are_refused():
    sessions = pd.DataFrame({"participant_id": ["sub-01"], "session_id": ["ses-01"]})
    require_known_scans(check(row()), sessions, where="my.tsv", cohort="study")
    unknown = check(row(participant_id="sub-09"))
    with pytest.raises(MeasurementsError, match=r"no such participant .*sub-09"):
        require_known_scans(unknown, sessions, where="my.tsv", cohort="study")
    with pytest.raises(MeasurementsError, match=r"no such session .*ses-09"):
        require_known_scans(
            check(row(session_id="ses-09")), sessions, where="my.tsv", cohort="study"
        )


def test_model_versions_are_ordered_by_number_and_the_truth_comes_last():
    names = ["truth", "lesion-segmenter/10", "lesion-segmenter/9", "a-manual-mask"]
    table = check(*[row(model_version=name) for name in names])
    expected = ["a-manual-mask", "lesion-segmenter/9", "lesion-segmenter/10", "truth"]
    assert model_versions(table) == expected
    assert table["model_version"].tolist() == expected


def test_variants_stand_behind_their_version_and_before_the_next():
    expected = [
        "m/2", "m/2+flips", "m/2+m/9", "m/2+m/10", "m/2+t0.35", "m/2+t0.4", "m/2-longitudinal",
        "m/10", "m/10+flips", "truth",
    ]  # fmt: skip
    table = check(*[row(model_version=name) for name in reversed(expected)])
    assert model_versions(table) == expected


def test_tables_together_refuse_a_scan_that_both_have():
    one = check(row())
    assert len(combine_measurements([one, check(row(model_version="m/1"))], where="both")) == 2
    with pytest.raises(MeasurementsError, match="listed twice"):
        combine_measurements([one, one], where="both")
