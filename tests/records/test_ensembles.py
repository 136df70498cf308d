"""What stands in a label about the use of a version is refused with the key that tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.records.ensembles import pinned, resolve_all
from lesion_dynamics.settings.tracking import TrackingSettings


@pytest.mark.parametrize(
    ("reference", "remedy"),
    [
        ("a/1+flips", "Give model_version=a/1 tta=flips."),
        ("a/1 + b/2 + flips", "Give model_version=a/1+b/2 tta=flips."),
        ("a/1+t0.4", "Give model_version=a/1, then lesion-dynamics rethreshold."),
        ("a/1+m9+c6", "Give model_version=a/1, then lesion-dynamics rethreshold."),
        ("a/1-longitudinal", "Give model_version=a/1 longitudinal=shared."),
        ("a/1+flips-longitudinal", "Give model_version=a/1 tta=flips longitudinal=shared."),
    ],
)
def test_labels_of_outputs_are_no_model_versions(
    reference: str, remedy: str, tmp_path: Path
) -> None:
    tracking = TrackingSettings(folder=tmp_path / "tracking", uri=None, experiment="t")
    for resolving in (resolve_all, pinned):
        with pytest.raises(ModelVersionError) as refused:
            resolving(reference, tracking)
        assert remedy in refused.value.remedy
    assert not (tmp_path / "tracking").exists()  # before any store is opened
