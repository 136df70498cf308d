"""What a served model version answers: lesion volumes of the scans whose paths it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lesion_dynamics.cohort.cohort import SEQUENCES, Scan
from lesion_dynamics.errors import ScanError, UserError
from lesion_dynamics.input_files import first_bytes
from lesion_dynamics.lesions.measurement import measure
from lesion_dynamics.longitudinal.measurements import FAILED, MEASURED
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.records.flavour import OUTPUT_COLUMNS
from lesion_dynamics.settings.cohort import Prepared

if TYPE_CHECKING:
    from lesion_dynamics.segmenter.segmenter import Segmenter


class ServedVolumes:
    """The volumes of one model version; its network is loaded at the first scan and kept."""

    def __init__(self, version: ModelVersion) -> None:
        self._version = version
        self._segmenter: Segmenter | None = None

    def __call__(self, paths: pd.DataFrame, prepared: Mapping[str, bool]) -> pd.DataFrame:
        """A row a scan, in the order of ``paths``; one that cannot be used has its reason.

        Parameters
        ----------
        paths : a column a sequence, each cell a file's path; empty where there is none.
        prepared : what was done to the scans before.

        The answer is ``infer.py``'s for sessions that are not aligned; no file is written.
        """
        before = Prepared(**prepared)
        sha = self._version.manifest.weights_sha256
        rows = [
            {**self._volume(_scan(row, place), before), "weights_sha256": sha}
            for place, row in enumerate(paths.to_dict("records"), start=1)
        ]
        table = pd.DataFrame(rows, columns=[*OUTPUT_COLUMNS])
        # Not NaN: over the wire an absent volume is null, which every reader of JSON knows.
        return table.astype({"lesion_volume_mm3": "Float64", "lesion_count": "Int64"})

    def _volume(self, scan: Scan, before: Prepared) -> dict[str, Any]:
        try:
            for name in self._version.manifest.segmenter.required_sequences:
                if name not in scan.images:
                    raise ScanError(f"no {name}", where="paths", remedy="Give its path.")
            for path in scan.images.values():
                first_bytes(path, 1, refusal=ScanError, restore="Give the path of an image.")
            return self._measured(scan, before)
        except UserError as error:
            return {
                "lesion_volume_mm3": pd.NA,
                "lesion_count": pd.NA,
                "status": FAILED,
                "reason": str(error),
            }

    def _measured(self, scan: Scan, before: Prepared) -> dict[str, Any]:
        from lesion_dynamics.imaging.writing import as_stored
        from lesion_dynamics.segmenter.segmenter import Segmenter, mask_at

        if self._segmenter is None:
            self._segmenter = Segmenter.from_model_version(self._version)
        settings, point = self._segmenter.settings, self._version.manifest.operating_point
        names: set[str] = {*settings.sequences}
        wanted = {name: path for name, path in scan.images.items() if name in names}
        used = replace(scan, images=wanted)
        ready = prepare_scan(used, before, settings=settings.preprocessing)
        mask = mask_at(as_stored(self._segmenter.probability(ready)), point)
        found = measure(mask, connectivity=point.connectivity, volume_scale=ready.volume_scale())
        return {
            "lesion_volume_mm3": round(found.lesion_volume_mm3, 3),
            "lesion_count": found.lesion_count,
            "status": MEASURED,
            "reason": "",
        }


def _scan(row: Mapping[Any, Any], place: int) -> Scan:
    images = {
        name: Path(str(row[name]))
        for name in SEQUENCES
        if name in row and not pd.isna(row[name]) and str(row[name])
    }
    return Scan(f"sub-row{place}", "ses-01", images)
