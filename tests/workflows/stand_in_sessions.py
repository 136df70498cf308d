"""A participant's sessions, and an inference of them in which only the order of calls is real."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.model_version import LONGITUDINAL
from lesion_dynamics.preprocessing.registration import not_registered
from lesion_dynamics.records.derivatives import write_scan
from lesion_dynamics.workflows import inference_worker
from lesion_dynamics.workflows.inference_scans import Worked, work_on
from lesion_dynamics.workflows.inference_tasks import ScanTask

WHO = "sub-1"
GRID = (4, 4, 4)


@dataclass(frozen=True)
class Prepared:
    """A session, and the sessions in whose middle it was put."""

    session: str
    middle_of: tuple[str, ...] = ()


@dataclass
class Place:
    """A participant's sessions and an inference of them in which only the order of calls is real.

    unprepared, unregistered, improbable, unwritten : sessions that fail in this step now.
    written : sessions that were written, in turn.
    """

    folder: Path
    alignment: str = "rigid"
    mode: str = "single"
    unprepared: set[str] = field(default_factory=set)
    unregistered: set[str] = field(default_factory=set)
    improbable: set[str] = field(default_factory=set)
    unwritten: set[str] = field(default_factory=set)
    alignment_breaks: bool = False
    written: list[str] = field(default_factory=list)
    measured: list[int] = field(default_factory=list)

    def lay(self, session: str, voxels: int = 7) -> Place:
        """A FLAIR of some even brightness and one bright voxel; 0 is an image that is none."""
        data = np.full(GRID, voxels, dtype=np.int16)
        data[0, 0, 0] *= 3
        nib.save(nib.Nifti1Image(data, np.eye(4)), self.flair(session))
        return self

    def flair(self, session: str) -> Path:
        return self.folder / f"{session}.nii.gz"

    def mask(self, session: str) -> Path:
        return self.out / WHO / session / "anat" / f"{WHO}_{session}_label-L_mask.nii.gz"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def version(self) -> Any:
        nothing = SimpleNamespace(model_dump=lambda **_: {}, registration=None, intensity=None)
        segmenter = SimpleNamespace(model_dump=lambda **_: {}, preprocessing=nothing)
        manifest = SimpleNamespace(weights_sha256="w", segmenter=segmenter, operating_point=nothing)
        return SimpleNamespace(label="v/1", mode=self.mode, manifest=manifest)

    def run(self, sessions: Sequence[str] = ("ses-1", "ses-2", "ses-3")) -> Worked:
        """One inference; no two scans of its table lie in different spaces."""
        self.written.clear()
        scans = tuple(Scan(WHO, name, {"FLAIR": self.flair(name)}) for name in sessions)
        cohort = SimpleNamespace(scans=scans, exclusions=(), unused_masks=())
        prepared = SimpleNamespace(model_dump=dict)
        settings = SimpleNamespace(
            cache=SimpleNamespace(folder=None),
            executor=SimpleNamespace(processes=1, threads_per_process=1),
            engine="torch",
            mni="none",
            cohort=SimpleNamespace(
                prepared=prepared,
                session_alignment=self.alignment,
                distortion=SimpleNamespace(correct_drift=False),
            ),
        )
        worked = work_on(
            cohort,  # type: ignore[arg-type]
            self.version, self.out,
            settings,  # type: ignore[arg-type]
            steps=None,  # type: ignore[arg-type]
            mirror=None,
        )  # fmt: skip
        spaces = [self.sidecar(session)["Preprocessing"] for _, session in worked.rows]
        if self.alignment != "none":
            assert all(one == spaces[0] for one in spaces), spaces
        assert worked.rows.keys().isdisjoint(
            {(f.participant_id, f.session_id) for f in worked.failed}
        )
        return worked

    def sidecar(self, session: str) -> dict[str, Any]:
        path = self.mask(session).with_name(f"{WHO}_{session}_label-L_mask.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    # What stands in for the steps of an inference.

    def begin(self, version: Any, cohort: Any, *_: object) -> None:
        segmenter = SimpleNamespace(
            settings=version.manifest.segmenter, probability=self.probability
        )
        inference_worker._worker = inference_worker._Worker(
            segmenter, version, cohort, "none", None  # type: ignore[arg-type]
        )  # fmt: skip

    def prepare(self, scan: Scan, *_: object, **__: object) -> Prepared:
        if scan.session_id in self.unprepared:
            raise MemoryError("not now")
        return Prepared(scan.session_id)

    def align(
        self, scans: Sequence[Prepared], names: Sequence[str], **_: object
    ) -> list[Prepared | ScanError]:
        assert [one.session for one in scans] == list(names)
        if self.alignment_breaks:
            raise MemoryError("in between")
        together = tuple(name for name in names if name not in self.unregistered)
        error = not_registered("it diverged")
        return [
            replace(one, middle_of=together)
            if one.session in together
            else ScanError(
                error.what, where=f"{one.session} and {together[0]}", remedy=error.remedy
            )
            for one in scans
        ]

    def probability(self, prepared: Prepared) -> Image:
        if prepared.session in self.improbable:
            raise MemoryError("too little")
        return Image(np.zeros(GRID, dtype=np.float32), np.eye(4))

    def segment(
        self, worker: Any, task: ScanTask, prepared: Prepared, shared: Image | None
    ) -> dict[str, Any]:
        if prepared.session in self.unwritten:
            raise MemoryError("in the middle")
        assert (shared is not None) == (worker.version.mode == LONGITUDINAL)
        row = {"lesion_volume_mm3": 1.0}
        informed = task.input_hashes.get("sessions_informed_by")
        write_scan(
            task.outputs,
            mask=Image(np.zeros(GRID, dtype=np.uint8), np.eye(4)),
            probability=Image(np.zeros(GRID, dtype=np.float32), np.eye(4)),
            key=task.key,
            version=worker.version,
            input_hashes=task.input_hashes,
            measurements=row,
            preprocessing={"MiddleOf": list(prepared.middle_of), "InformedBy": informed},
        )
        self.written.append(prepared.session)
        return row

    def measure(self, scans: Sequence[Prepared], *, intensity: object) -> list[dict[str, float]]:
        self.measured.append(len(scans))
        return [{"others": float(len(scans))} for _ in scans]
