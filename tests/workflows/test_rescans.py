"""True rescans: which scans are held against each other, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tests.conftest import Workplace
from tests.workflows.repeatability_settings import settings_of

from lesion_dynamics.cohort.reading import read_tables
from lesion_dynamics.errors import ConfigurationError, MeasurementsError
from lesion_dynamics.longitudinal.measurements import FILE_NAME
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.workflows.repeatability.rescans import rescan_differences


def measurements(folder: Path, values: dict[tuple[str, str], float], version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{p}\t{s}\t{version}\t{v}" for (p, s), v in values.items()]
    header = "participant_id\tsession_id\tmodel_version\tlesion_volume_mm3"
    (folder / FILE_NAME).write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_rescans_by_session_by_table_and_by_folder(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path
) -> None:
    place, version = trained
    values = {
        ("sub-ms01", "ses-01"): 100.0, ("sub-ms01", "ses-02"): 110.0,
        ("sub-nmosd01", "ses-01"): 50.0, ("sub-nmosd01", "ses-02"): 40.0,
    }  # fmt: skip
    first = measurements(tmp_path / "first", values, version.label)
    moved = {key: value + 5 for key, value in values.items()}
    second = measurements(tmp_path / "second", moved, version.label)

    def found(*overrides: str) -> pd.DataFrame:
        settings = settings_of(place, *overrides)
        tables = read_tables(settings.cohort)
        return rescan_differences(settings, tables, version, folder=first).differences

    own = found("rescans.sessions=all")
    assert list(own["lesion_volume_mm3"] - own["original_lesion_volume_mm3"]) == [10.0, -10.0]
    assert list(own["diagnosis"]) == ["MS", "NMOSD"]
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text(
        "participant_id\tsession_id\trescan_group\nsub-ms01\tses-01\ta\nsub-ms01\tses-02\ta\n"
        "sub-nmosd01\tses-01\ta\nsub-nmosd01\tses-02\tb\n"
    )
    assert list(found(f"rescans.sessions={pairs}")["participant_id"]) == ["sub-ms01"]
    folders = found(f"rescans.folders=[{first},{second}]")
    assert list(folders["lesion_volume_mm3"] - folders["original_lesion_volume_mm3"]) == [5.0] * 4
    pairs.write_text(pairs.read_text() + "sub-ms01\tses-02\tb\n")
    with pytest.raises(ConfigurationError, match="sub-ms01 ses-02 stands twice"):
        found(f"rescans.sessions={pairs}")
    measurements(second, moved, "other/1")
    with pytest.raises(MeasurementsError, match="volumes of other/1"):
        found(f"rescans.folders=[{first},{second}]")
