"""Every scan gets the coefficient file of its own scanner, and corrected ones none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import CohortError
from lesion_dynamics.settings.cohort import CohortSettings, DistortionSettings


def settings_of(tree, **files: Path) -> CohortSettings:
    return tree.settings.model_copy(
        update={"distortion": DistortionSettings(gradient_coefficients=files)}
    )


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.grad" for name in ("siteA", "siteB", "any")}
    for path in paths.values():
        path.write_text("coefficients", encoding="utf-8")
    return paths


def test_the_sessions_scanner_goes_first_then_the_participants_then_any(tree, files) -> None:
    cohort = read_cohort(settings_of(tree, **files))
    found = {scan.key: scan.gradient_coefficients for scan in cohort.scans}
    assert found == {
        ("sub-ms01", "ses-01"): files["siteB"],
        ("sub-ms01", "ses-02"): files["siteA"],
        ("sub-nmo01", "ses-01"): files["siteB"],
        ("sub-nmo01", "ses-02"): files["any"],
    }


def test_a_scanner_without_a_file_is_not_corrected(tree, files) -> None:
    cohort = read_cohort(settings_of(tree, siteA=files["siteA"]))
    corrected = [scan.key for scan in cohort.scans if scan.gradient_coefficients is not None]
    assert corrected == [("sub-ms01", "ses-02")]
    assert all(scan.gradient_coefficients is None for scan in read_cohort(tree.settings).scans)


def test_what_the_scanner_corrected_is_not_corrected_again(tree, files) -> None:
    image = tree.image("sub-ms01", "ses-01", "FLAIR")
    sidecar = image.with_name(image.name.removesuffix(".nii.gz") + ".json")
    sidecar.write_text(json.dumps({"NonlinearGradientCorrection": True}), encoding="utf-8")
    scans = read_cohort(settings_of(tree, any=files["any"])).scans
    assert [scan.key for scan in scans if scan.gradient_coefficients is None] == [
        ("sub-ms01", "ses-01")
    ]
    sidecar.write_text("[]", encoding="utf-8")
    scans = read_cohort(settings_of(tree, any=files["any"])).scans
    assert all(scan.gradient_coefficients == files["any"] for scan in scans)


def test_the_file_is_one_of_the_scans_inputs(tree, files) -> None:
    scan = read_cohort(settings_of(tree, any=files["any"])).scans[0]
    assert list(scan.input_files) == ["FLAIR", "T1w", "gradient_coefficients"]
    plain = read_cohort(tree.settings).scans[0]
    assert list(plain.input_files) == ["FLAIR", "T1w"]


def test_a_missing_file_refuses_the_cohort(tree, tmp_path) -> None:
    with pytest.raises(CohortError, match="no file of gradient coefficients for scanner siteA"):
        read_cohort(settings_of(tree, siteA=tmp_path / "none.grad"))


def test_a_drift_is_corrected_between_aligned_sessions_only(tree) -> None:
    values = tree.settings.model_dump()
    values["distortion"] = {"correct_drift": True}
    CohortSettings.model_validate({**values, "session_alignment": "rigid"})
    with pytest.raises(ValueError, match="needs session_alignment=rigid"):
        CohortSettings.model_validate({**values, "session_alignment": "none"})
