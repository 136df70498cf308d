import json

import pytest

from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.longitudinal.repeatability import read_repeatability, with_repeatability
from lesion_dynamics.settings.measurement_error import VolumeErrorFigures

RECORD = {
    "format": 1,
    "model_version": "m/1",
    "source": "constructed",
    "figures": [
        {"diagnosis": "all", "noise_mm3": 10.0, "noise_share": 0.02, "scans": 24},
        {"diagnosis": "MS", "noise_mm3": 30.0, "noise_share": 0.05, "scans": 12},
    ],
}


def written(tmp_path, **changed):
    path = tmp_path / "repeatability.json"
    path.write_text(json.dumps({**RECORD, **changed}))
    return path


def test_noise_comes_from_the_record_and_gain_from_the_validation(tmp_path):
    record = read_repeatability(written(tmp_path))
    base = {"MS": VolumeErrorFigures(diagnosis="MS", gain=0.8, offset_mm3=5, noise_mm3=99)}
    found = with_repeatability(base, record)
    assert (found["MS"].gain, found["MS"].offset_mm3) == (0.8, 5)
    assert (found["MS"].noise_mm3, found["MS"].noise_share) == (30, 0.05)
    assert (found["NMOSD"].gain, found["NMOSD"].noise_mm3) == (1, 10)
    assert with_repeatability(base, None) is base


@pytest.mark.parametrize(
    "changed",
    [{"format": 2}, {"figures": []}, {"noise": 1},
     {"figures": [{**RECORD["figures"][0], "noise_mm3": -1}]}],
)  # fmt: skip
def test_what_is_no_record_is_refused(tmp_path, changed):
    with pytest.raises(MeasurementsError, match="not a repeatability record"):
        read_repeatability(written(tmp_path, **changed))
    with pytest.raises(MeasurementsError, match="not a repeatability record"):
        read_repeatability(tmp_path / "none.json")
