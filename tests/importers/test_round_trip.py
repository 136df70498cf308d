"""Imported cohort, read clean, segmented: every layout, on tiny trees of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import Workplace, composed
from tests.importers import upstream_trees
from tests.importers.upstream_trees import PhantomScan

from lesion_dynamics.importers import isbi2015, mslesseg, msseg2, nnunet, open_ms
from lesion_dynamics.importers.imported_cohort import ImportedCohort
from lesion_dynamics.importers.manifest_folder import write_manifest_folder
from lesion_dynamics.longitudinal.measurements import read_measurements
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows import inference

READERS: dict[str, Callable[[Path], ImportedCohort]] = {
    "isbi2015": isbi2015.read,
    "msseg2": msseg2.read,
    "mslesseg": mslesseg.read,
    "nnunet": nnunet.read,
    "open_ms": open_ms.read,
}


def like_the_phantom(imported: ImportedCohort) -> ImportedCohort:
    """One scan; the phantom has no skull to be taken off, whatever upstream's scans have."""
    done = Prepared(skull_stripped=True, sequences_aligned=True, bias_corrected=True)
    return replace(
        imported, scans=tuple(replace(scan, prepared=done) for scan in imported.scans[:1])
    )


@pytest.mark.parametrize("layout", READERS)
def test_an_imported_cohort_is_segmented(
    layout: str, trained: tuple[Workplace, ModelVersion], tmp_path: Path
) -> None:
    place, version = trained
    build = getattr(upstream_trees, layout)
    upstream = build(tmp_path / "upstream", PhantomScan.all_of(place.data)[0])
    write_manifest_folder(
        like_the_phantom(READERS[layout](upstream)), tmp_path / "cohort", upstream=upstream
    )
    own = [
        "cohort=manifest",
        f"cohort.name={layout}",
        f"cohort.root={tmp_path / 'cohort'}",
        "cohort.session_alignment=none",
        f"tracking.folder={place.folder / 'tracking'}",
        f"model_version={place.folder / 'models/lesion-segmenter'}",
        f"output={tmp_path / 'derivatives'}",
        "executor.processes=1",
    ]
    result = inference.run(validated(InferSettings, composed("infer", *own)))
    assert (result.done, result.failures) == (1, ())
    table = read_measurements(result.measurements)
    assert len(table) == 1
    assert set(table["model_version"]) == {version.label}
    assert table["lesion_volume_mm3"].notna().all()
