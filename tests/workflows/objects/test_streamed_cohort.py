"""A cohort in an object store: its tables here, its scans in parts, never more than allowed."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from tests.conftest import Workplace

from lesion_dynamics.errors import CohortError
from lesion_dynamics.model_version import ModelVersion, load_manifest
from lesion_dynamics.records.shipped import SHIPPED_FOLDER
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.workflows.objects.ledger import Entry, Ledger
from lesion_dynamics.workflows.objects.mirror import Mirror
from lesion_dynamics.workflows.objects.stored_outputs import StoredOutputs
from lesion_dynamics.workflows.objects.streamed_cohort import StreamedCohort, is_streamed

WHO = ("sub-a", "sub-b", "sub-c")
SCAN_BYTES = 1000


def lay_out(store: fsspec.AbstractFileSystem) -> None:
    rows = "".join(f"{who}\tMS\n" for who in WHO)
    store.pipe("/cohort/participants.tsv", f"participant_id\tdiagnosis\n{rows}".encode())
    store.pipe("/cohort/derivatives/big.nii.gz", b"0" * SCAN_BYTES)
    for who in WHO:
        sessions = b"session_id\tdays_from_baseline\nses-1\t0\n"
        store.pipe(f"/cohort/{who}/{who}_sessions.tsv", sessions)
        for folder, name in (("anat", "FLAIR"), ("dwi", "dwi")):
            path = f"/cohort/{who}/ses-1/{folder}/{who}_ses-1_{name}.nii.gz"
            store.pipe(path, who[-1].encode() * SCAN_BYTES)


def settings_of(tmp_path: Path, *overrides: str) -> InferSettings:
    return Workplace(tmp_path, tmp_path).inference(
        "cohort.root=memory://cohort", "output=memory://out", f"cache.folder={tmp_path}/cache",
        *overrides,
    )  # fmt: skip


def images(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.nii.gz"))


def test_the_tables_come_first_and_scans_when_it_is_their_turn(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    lay_out(memory)
    # Two scans and their tables do not fit into half of this, one does.
    settings = settings_of(tmp_path, f"cache.objects_gb={3 * SCAN_BYTES / 1e9}")
    assert is_streamed(settings)
    source = StreamedCohort.opened(settings)
    assert list(source.tables.sessions["participant_id"]) == list(WHO)
    assert images(tmp_path) == []
    seen = []
    for part, root in source.parts(WHO):
        seen += part
        (scan,) = images(root)
        assert scan == f"{part[0]}_ses-1_FLAIR.nii.gz"
        whole = (root / part[0] / "ses-1/anat" / scan).read_bytes()
        assert whole == part[0][-1].encode() * SCAN_BYTES
        assert len(images(tmp_path)) <= 2  # this one's, and the next one's on its way
    assert seen == list(WHO)
    assert images(tmp_path) == []


def test_more_room_makes_larger_parts(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    lay_out(memory)
    source = StreamedCohort.opened(settings_of(tmp_path))
    assert [part for part, _ in source.parts(WHO)] == [list(WHO)]
    assert [part for part, _ in source.parts(())] == []


def test_a_part_has_its_own_participants_alone(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    lay_out(memory)
    manifest = load_manifest(SHIPPED_FOLDER)
    version = ModelVersion(manifest.name, 1, manifest, SHIPPED_FOLDER / "weights.safetensors")
    whole = StreamedCohort.opened(settings_of(tmp_path)).keys(version)
    source = StreamedCohort.opened(settings_of(tmp_path, "part=1/2"))
    assert list(source.tables.participants["participant_id"]) == ["sub-a", "sub-c"]
    assert source.keys(version) == {who: whole[who] for who in ("sub-a", "sub-c")}


def test_a_place_without_objects_is_no_cohort(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    with pytest.raises(CohortError, match=r"memory://.*: there is no cohort folder"):
        StreamedCohort.opened(settings_of(tmp_path))


def test_a_session_that_no_table_knows_is_refused_before_any_scan_comes(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    lay_out(memory)
    memory.pipe("/cohort/sub-b/ses-2/anat/sub-b_ses-2_FLAIR.nii.gz", b"x")
    with pytest.raises(CohortError, match="session ses-2 of sub-b has images but no days"):
        StreamedCohort.opened(settings_of(tmp_path))
    memory.rm("/cohort/sub-b/ses-2", recursive=True)
    StreamedCohort.opened(settings_of(tmp_path))  # the empty folder has gone as well


def test_a_participant_has_another_key_when_anything_of_it_changes(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    lay_out(memory)
    manifest = load_manifest(SHIPPED_FOLDER)
    version = ModelVersion(manifest.name, 1, manifest, SHIPPED_FOLDER / "weights.safetensors")

    def keys(*overrides: str) -> list[str]:
        found = StreamedCohort.opened(settings_of(tmp_path, *overrides)).keys(version)
        return [found[who] for who in WHO]

    first = keys()
    assert len(set(first)) == len(WHO)
    assert keys() == first
    assert not set(keys("mni=affine")) & set(first)
    memory.pipe("/cohort/sub-b/ses-1/anat/sub-b_ses-1_FLAIR.nii.gz", b"other")
    assert [a == b for a, b in zip(keys(), first, strict=True)] == [True, False, True]
    text = memory.cat("/cohort/participants.tsv").replace(b"sub-c\tMS", b"sub-c\tNMOSD")
    memory.pipe("/cohort/participants.tsv", text)
    assert [a == b for a, b in zip(keys(), first, strict=True)] == [True, False, False]


@pytest.mark.parametrize("remote", [True, False])
def test_a_participant_is_finished_while_all_its_outputs_are_those_of_the_ledger(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, remote: bool
) -> None:
    output = "memory://out" if remote else str(tmp_path / "out")
    settings = settings_of(tmp_path, f"output={output}")
    folder = tmp_path / "out/study/m-v1"
    mirror = Mirror("memory://out/study/m-v1", folder) if remote else None
    (folder / "sub-a").mkdir(parents=True)
    (folder / "sub-a/mask").write_bytes(b"mask")
    if mirror is not None:
        mirror.publish([folder / "sub-a/mask"])
    marks = StoredOutputs(folder, mirror).marks("sub-a")
    assert list(marks) == ["sub-a/mask"]
    scans = {"ses-1": {"images": ["FLAIR"], "input_hashes": {"FLAIR": "1"}, "row": {"x": 1.5}}}
    lacking = ({"participant_id": "sub-a", "session_id": "ses-2", "reason": "no FLAIR",
                "failed": False, "remedy": ""},)  # fmt: skip
    entry = Entry("key", marks, scans, lacking, ("torch",), {"Key": "q"})
    Ledger(folder, settings, "study", "m-v1").keep({"sub-a": entry})
    again = Ledger(folder, settings, "study", "m-v1")
    assert again.of("sub-a") == entry
    assert again.of("sub-b") is None
    assert [scan.key for scan in entry.scans_of("sub-a")] == [("sub-a", "ses-1")]
    assert [one.line for one in entry.left_out()] == ["sub-a ses-2: no FLAIR"]
    assert StoredOutputs(folder, mirror).has(entry)
    if remote:
        memory.pipe("/out/study/m-v1/sub-a/mask", b"other")
    else:
        (folder / "sub-a/mask").write_bytes(b"other")
    assert not StoredOutputs(folder, mirror).has(entry)
    again.keep({}, without=["sub-a"])
    assert Ledger(folder, settings, "study", "m-v1").of("sub-a") is None
