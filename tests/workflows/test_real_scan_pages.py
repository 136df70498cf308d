"""Pages of real MRI, raw heads and a brain in MNI space: they fit, and the head is on them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.conftest import composed
from tests.workflows.test_real_scans import REAL, needs_real_data
from tests.workflows.test_scan_pages import volume_in

from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.imaging.writing import write_mask
from lesion_dynamics.records.derivatives import ScanOutputs
from lesion_dynamics.settings.scan_pages import ScanPagesSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.scan_pages.run import run


@pytest.mark.real_data
@pytest.mark.slow
@needs_real_data
def test_real_sessions_fit_on_pages_of_4_mb(tmp_path: Path) -> None:
    folder = tmp_path / "derivatives"
    own = ["cohort=open_ms", f"cohort.root={REAL}", f"derivatives={folder}", "processes=1"]
    settings = validated(ScanPagesSettings, composed("scan_pages", *own))
    cohort = read_cohort(settings.cohort)
    rows = []
    for scan in cohort.scans:
        volume = 0.0
        if scan.reference_mask is not None:
            mask = read_mask(scan.reference_mask)
            write_mask(ScanOutputs.of(*scan.key, folder).mask, mask)
            volume = float(mask.voxels.sum()) * mask.voxel_volume_mm3
        names = {"participant_id": scan.participant_id, "session_id": scan.session_id}
        rows.append({**names, "model_version": "consensus/1", "lesion_volume_mm3": volume})
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / "lesion_measurements.tsv", sep="\t", index=False)
    result = run(settings)
    assert not result.failed
    for participant_id in {scan.participant_id for scan in cohort.scans}:
        page = result.index.with_name(f"{participant_id}.html")
        assert page.stat().st_size <= 4e6
        found = re.search(r'id="page-data">(.*?)</script>', page.read_text(encoding="utf-8"))
        assert found is not None
        data = json.loads(found[1])
        assert 1.0 <= data["spacing"] <= 2.0
        for session in data["sessions"]:
            grey = volume_in(session["flair"]).get_fdata()
            extent = np.array(grey.shape) * data["spacing"]
            assert (extent > [120, 150, 110]).all()
            assert (extent < [260, 300, 180]).all()
            litres = (grey > 30).sum() * data["spacing"] ** 3 / 1e6
            assert 1.0 < litres < 6.0
            mask = session["layers"]["consensus/1"]["mask"]
            if mask:
                shown = volume_in(mask).get_fdata().sum() * data["spacing"] ** 3
                said = float(session["layers"]["consensus/1"]["said"].split()[0].replace(",", ""))
                assert shown == pytest.approx(said, rel=0.15)
