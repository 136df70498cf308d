"""A manifest in an object store is streamed: its rows say which objects belong to whom."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from tests.conftest import Workplace, composed
from tests.in_this_process import in_this_process

from lesion_dynamics.errors import CohortError
from lesion_dynamics.model_version import ModelVersion, load_manifest
from lesion_dynamics.records.shipped import SHIPPED_FOLDER
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows import inference, inference_scans
from lesion_dynamics.workflows.objects.mirror import Mirror
from lesion_dynamics.workflows.objects.streamed_cohort import StreamedCohort, is_streamed

HEADER = "participant_id session_id diagnosis days_from_baseline FLAIR T1w skull_stripped"
ROWS = (
    "sub-a ses-1 MS 0 ../scans/x1.nii.gz ../scans/x2.nii.gz true",
    "sub-b ses-1 NMOSD 0 ../scans/y1.nii.gz n/a true",
    "sub-b ses-2 NMOSD 9 ../scans/y3.nii.gz ../scans/gone.nii.gz true",
)


def write_rows(store: fsspec.AbstractFileSystem, *rows: str) -> None:
    store.pipe("/cohort/tables/m.tsv", "\n".join((HEADER, *rows)).replace(" ", "\t").encode())


def lay_out(store: fsspec.AbstractFileSystem, *rows: str) -> None:
    write_rows(store, *rows)
    attacks = b"participant_id\tattack_id\tdays_from_baseline\nsub-a\t1\t-5\n"
    store.pipe("/cohort/tables/attacks.tsv", attacks)
    for name in ("x1", "x2", "y1", "y3", "nobodys"):
        store.pipe(f"/cohort/scans/{name}.nii.gz", name.encode())


def settings_of(folder: Path, *overrides: str) -> InferSettings:
    own = [
        "cohort=manifest", "cohort.root=memory://cohort", "cohort.manifest=tables/m.tsv",
        f"cache.folder={folder}/cache", f"output={folder}/out", "cache.objects_gb=1e-9",
        f"model_version={folder}/models/lesion-segmenter", "executor.processes=1",
    ]  # fmt: skip
    return validated(InferSettings, composed("infer", *own, *overrides))


def images(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.nii.gz"))


def test_each_part_holds_the_manifest_and_the_files_of_its_rows(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    lay_out(memory, *ROWS)
    settings = settings_of(tmp_path)
    assert is_streamed(settings)
    source = StreamedCohort.opened(settings)
    assert list(source.tables.sessions["session_id"]) == ["ses-1", "ses-1", "ses-2"]
    assert list(source.tables.attacks["participant_id"]) == ["sub-a"]
    assert images(tmp_path) == []
    found = {}
    for part, root in source.parts(["sub-a", "sub-b"]):
        assert (root / "tables/m.tsv").is_file()
        found[tuple(part)] = images(root)
    assert found == {("sub-a",): ["x1.nii.gz", "x2.nii.gz"], ("sub-b",): ["y1.nii.gz", "y3.nii.gz"]}


@pytest.mark.parametrize(
    ("changed", "whose"),
    [
        (lambda row: row.replace("x1", "x").replace("x2", "x1").replace("x.", "x2."), "sub-a"),
        (lambda row: row.replace("sub-a ses-1 MS 0", "sub-a ses-1 MS 7"), "sub-a"),
        (lambda row: row.replace("n/a true", "n/a false"), "sub-b"),
    ],
    ids=["sequences exchanged", "another day", "prepared otherwise"],
)
def test_a_row_that_changed_changes_the_key_of_its_participant_alone(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, changed: Callable[[str], str], whose: str
) -> None:
    manifest = load_manifest(SHIPPED_FOLDER)
    version = ModelVersion(manifest.name, 1, manifest, SHIPPED_FOLDER / "weights.safetensors")
    lay_out(memory, *ROWS)
    before = StreamedCohort.opened(settings_of(tmp_path)).keys(version)
    rows = [changed(row) for row in ROWS]
    assert rows != list(ROWS)
    write_rows(memory, *rows)
    after = StreamedCohort.opened(settings_of(tmp_path)).keys(version)
    assert [who for who in before if before[who] != after[who]] == [whose]


def test_keys_are_those_of_the_rows_that_were_read_whatever_another_inference_fetches(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    manifest = load_manifest(SHIPPED_FOLDER)
    version = ModelVersion(manifest.name, 1, manifest, SHIPPED_FOLDER / "weights.safetensors")
    lay_out(memory, *ROWS)
    source = StreamedCohort.opened(settings_of(tmp_path))
    before = source.keys(version)
    write_rows(memory, *(row.replace("x1", "x").replace("x2", "x1") for row in ROWS))
    assert StreamedCohort.opened(settings_of(tmp_path)).keys(version) != before
    assert source.keys(version) == before


@pytest.mark.parametrize("cell", ["../../x1.nii.gz", "/elsewhere/x1.nii.gz"])
def test_a_file_outside_of_the_store_is_refused_with_its_row(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, cell: str
) -> None:
    lay_out(memory, ROWS[1], ROWS[0].replace("../scans/x1.nii.gz", cell))
    with pytest.raises(CohortError, match=r"row 2, column FLAIR: .* does not lie in the cohort"):
        StreamedCohort.opened(settings_of(tmp_path))


def test_an_inference_from_the_store_is_that_of_a_folder_and_then_needs_no_image(
    trained: tuple[Workplace, ModelVersion],
    memory: fsspec.AbstractFileSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inference_scans, "spread", in_this_process)
    shutil.copytree(trained[0].folder / "models", tmp_path / "models")
    anat, data = trained[0].data / "study/sub-ms01/ses-01/anat", tmp_path / "data"
    data.mkdir()
    for sequence in ("FLAIR", "T1w"):
        shutil.copy(anat / f"sub-ms01_ses-01_{sequence}.nii.gz", data / f"{sequence}.nii.gz")
    rows = (
        f"{HEADER} sequences_aligned",
        "sub-a ses-1 MS 0 FLAIR.nii.gz T1w.nii.gz true true",
        "sub-b ses-1 MS 0 gone.nii.gz n/a true true",
    )
    (data / "m.tsv").write_text("\n".join(rows).replace(" ", "\t") + "\n")
    memory.put(f"{data}/", "/cohort", recursive=True)
    own = ("cohort.manifest=m.tsv", "cohort.session_alignment=none")
    here = inference.run(settings_of(tmp_path, *own, f"cohort.root={data}"))
    assert (here.done, len(here.failures)) == (1, 1)
    table = here.measurements.read_bytes()
    assert b"row 2, column FLAIR: no file gone.nii.gz" in table
    # The same bytes of images, the same keys: the store's scans are those of the folder.
    stored = inference.run(settings_of(tmp_path, *own))
    assert (stored.done, stored.kept, len(stored.failures)) == (0, 1, 1)
    assert stored.measurements.read_bytes() == table

    def no_image(self: Mirror, name: str, mark: str) -> None:
        assert not name.endswith(".nii.gz")
        real(self, name, mark)

    real = Mirror._download
    monkeypatch.setattr(Mirror, "_download", no_image)
    again = inference.run(settings_of(tmp_path, *own))
    assert (again.done, again.kept) == (0, 1)
    assert again.measurements.read_bytes() == table
