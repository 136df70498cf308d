"""From Python: one call for a scan, one for a cohort; the engine and the errors of ``infer.py``.

Whatever is wrong with an input raises a `lesion_dynamics.errors.UserError` that says what, where
and what to do. Importing this module loads neither torch nor MLflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lesion_dynamics.cohort.cohort import Exclusion, Scan
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.engine import EngineName, EngineSettings, TestTimeAugmentation
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.tracking import TrackingSettings

if TYPE_CHECKING:
    import pandas as pd

    from lesion_dynamics.model_version import ModelVersion

SHIPPED = "lesion-baseline@shipped"
"""The model version that comes with the package."""
QUALITY: Mapping[str, float] = {
    "robust_z_limit": 5.0,
    "fewest_scans": 10,
    "brain_at_edge_limit_mm2": 1000.0,
    "missing_slices_limit": 0,
}
"""Limits of quality control, as conf/infer.yaml has them."""
_EXPERIMENT = "lesion-dynamics"


@dataclass(frozen=True)
class ScanResult:
    """One segmented scan.

    mask : uint8 of 0 and 1; probability : 0 to 1, in the steps that files hold; both on the
        native FLAIR grid.
    lesion_volume_mm3, lesion_count, largest_lesion_volume_mm3, brain_volume_mm3 : as in
        ``lesion_measurements.tsv``.
    model_version : its label, as in tables.
    """

    mask: Image
    probability: Image
    lesion_volume_mm3: float
    lesion_count: int
    largest_lesion_volume_mm3: float
    brain_volume_mm3: float
    model_version: str

    def write(self, *, mask: str | Path, probability: str | Path | None = None) -> None:
        """Write ``.nii.gz`` files, the bytes that ``infer.py`` writes."""
        from lesion_dynamics.imaging.writing import write_mask, write_probability

        write_mask(Path(mask), self.mask)
        if probability is not None:
            write_probability(Path(probability), self.probability)


@dataclass(frozen=True)
class CohortResult:
    """A segmented cohort.

    folder : the derivatives. measurements : the table, one row a scan; failed scans have no
        volume and a reason. failures : who failed and why.
    """

    folder: Path
    measurements: pd.DataFrame
    failures: tuple[Exclusion, ...]


def segment_scan(
    flair: str | Path,
    *,
    t1w: str | Path | None = None,
    t2w: str | Path | None = None,
    pdw: str | Path | None = None,
    model_version: str | Path = SHIPPED,
    prepared: Prepared | Mapping[str, bool] | None = None,
    engine: EngineName = "auto",
    tta: TestTimeAugmentation = "none",
    tracking: str | Path = "tracking",
) -> ScanResult:
    """Segment one scan; nothing is written.

    Parameters
    ----------
    flair, t1w, t2w, pdw : NIfTI files. What the model version does not use is not read.
    model_version : ``name/number``, ``name@alias`` or a folder that ``train.py`` wrote; several
        joined by ``+`` are an ensemble. The shipped one has the number that it has in the store,
        or that it would get there.
    prepared : what was done to the scan before: ``skull_stripped``, ``sequences_aligned``,
        ``bias_corrected``.
    engine, tta : as the keys of ``infer.py``.
    tracking : folder of the MLflow store that holds the version; not looked at for folders.

    Raises
    ------
    UserError : a file or the model version cannot be used.
    """
    from lesion_dynamics.segmenter.engines.choice import require_engine

    before = validated(Prepared, dict(prepared or {}))
    chosen = validated(EngineSettings, {"engine": engine, "tta": tta})
    require_engine(chosen.engine)
    version = _resolved(str(model_version), Path(tracking), tta=chosen.tta)
    scan = _scan({"FLAIR": flair, "T1w": t1w, "T2w": t2w, "PDw": pdw}, version, before)
    # When everything small is known to be good.
    from lesion_dynamics.preprocessing.prepare import prepare_scan
    from lesion_dynamics.segmenter.segmenter import Segmenter
    from lesion_dynamics.workflows.scan_segmentation import segmented

    segmenter = Segmenter.from_model_version(version, engine=chosen.engine)
    ready = prepare_scan(scan, before, settings=segmenter.settings.preprocessing)
    found = segmented(segmenter, ready, version.manifest.operating_point)
    return ScanResult(
        mask=found.mask,
        probability=found.probability,
        lesion_volume_mm3=found.measured.lesion_volume_mm3,
        lesion_count=found.measured.lesion_count,
        largest_lesion_volume_mm3=found.measured.largest_lesion_volume_mm3,
        brain_volume_mm3=round(found.brain_volume_mm3, 3),
        model_version=version.label,
    )


def segment_cohort(
    root: str | Path,
    *,
    name: str,
    output: str | Path = "derivatives",
    model_version: str | Path = SHIPPED,
    layout: Literal["bids", "manifest", "open_ms"] = "bids",
    prepared: Prepared | Mapping[str, bool] | None = None,
    session_alignment: Literal["none", "rigid"] = "rigid",
    engine: EngineName = "auto",
    tta: TestTimeAugmentation = "none",
    longitudinal: Literal["none", "shared"] = "none",
    mni: Literal["none", "affine", "deformable"] = "none",
    processes: int = 0,
    cache: str | Path | None = None,
    tracking: str | Path = "tracking",
) -> CohortResult:
    """Segment a cohort as ``infer.py`` does: resumable, into ``output/name/<version>``.

    A script calls this below ``if __name__ == "__main__":``, for it starts processes. Scans that
    fail raise nothing: they stand in the table and in ``failures``.

    Parameters
    ----------
    root, name, layout, prepared, session_alignment : as the keys of ``cohort``.
    model_version, engine, tta, longitudinal, mni : as the keys of ``infer.py``.
    processes : participants at once; 0 is one a core. cache : folder of preprocessing results;
        None keeps none.

    Raises
    ------
    UserError : the cohort or the model version cannot be used, or the output not be written.
    """
    from lesion_dynamics.longitudinal.measurements import read_measurements
    from lesion_dynamics.settings.inference import InferSettings
    from lesion_dynamics.workflows.inference import run

    values: dict[str, Any] = {
        "cohort": {
            "name": name,
            "layout": layout,
            "root": root,
            "prepared": dict(prepared or {}),
            "session_alignment": session_alignment,
        },
        "model_version": str(model_version),
        "executor": {"processes": processes, "threads_per_process": 1},
        "tracking": {"folder": tracking, "experiment": _EXPERIMENT},
        "engine": engine,
        "tta": tta,
        "longitudinal": longitudinal,
        "mni": mni,
        "cache": {"folder": cache, "largest_gb": 20.0},
        "quality": QUALITY,
        "output": output,
    }
    result = run(validated(InferSettings, values))
    return CohortResult(result.folder, read_measurements(result.measurements), result.failures)


def _resolved(reference: str, tracking: Path, *, tta: TestTimeAugmentation) -> ModelVersion:
    from lesion_dynamics.combined_version import combined
    from lesion_dynamics.model_version import (
        WEIGHTS_FILE,
        ModelVersion,
        identity_of_files,
        load_manifest,
    )
    from lesion_dynamics.records.own_numbers import number_in_own_store
    from lesion_dynamics.records.shipped import SHIPPED_FOLDER, SHIPPED_NAME

    store = TrackingSettings(folder=tracking, experiment=_EXPERIMENT)
    if reference.startswith(SHIPPED_NAME):  # for one scan nothing is registered
        number = number_in_own_store(store, SHIPPED_NAME, identity_of_files(SHIPPED_FOLDER))
        if reference in (SHIPPED, f"{SHIPPED_NAME}/{number}"):
            manifest = load_manifest(SHIPPED_FOLDER)
            version = ModelVersion(SHIPPED_NAME, number, manifest, SHIPPED_FOLDER / WEIGHTS_FILE)
            return combined([version], tta=tta)
    from lesion_dynamics.records.ensembles import resolve_all

    return resolve_all(reference, store, tta=tta)


def _scan(given: Mapping[str, str | Path | None], version: ModelVersion, before: Prepared) -> Scan:
    from lesion_dynamics.cohort.scan_check import usable_headers

    segmenter = version.manifest.segmenter
    used: tuple[str, ...] = ("FLAIR", *segmenter.required_sequences, *segmenter.optional_sequences)
    images: dict[str, Path] = {}
    for name, file in given.items():
        if file is not None and name in used:
            images[name] = Path(file)
    for missing in segmenter.required_sequences:
        if missing not in images:
            raise ScanError(
                f"the model version needs {missing}",
                where=version.label,
                remedy=f"Give {missing.lower()}=, or name a model version that does without.",
            )
    scan = Scan("sub-1", "ses-1", images)
    usable_headers(scan, sequences_aligned=before.sequences_aligned)
    return scan
