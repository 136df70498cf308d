"""The cache of expensive steps: the same bytes with and without, and nothing trusted unseen."""

from __future__ import annotations

import ast
import hashlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.preprocessing.motions import after, motion

from lesion_dynamics import source_hash
from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.errors import OutputError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_intensities
from lesion_dynamics.preprocessing import bias_field, brain_mask, registration, step_cache, steps
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.sessions import align_sessions
from lesion_dynamics.preprocessing.step_cache import StepCache, key_of, open_cache, trim
from lesion_dynamics.preprocessing.steps import COMPUTED, Steps
from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.preprocessing import PreprocessingSettings, RegistrationSettings

PACKAGE = Path(source_hash.__file__).parent
STRIPPED = Prepared(skull_stripped=True)


@pytest.fixture(scope="module")
def sessions(flair: Image, brain: Image, tmp_path_factory: pytest.TempPathFactory) -> list[Scan]:
    """Two sessions of one head, FLAIR and T1w; the head moves between all four images."""
    folder = tmp_path_factory.mktemp("sessions")
    found = []
    for number in (1, 2):
        moved = motion([1.0 * number, 0.5, 0.0], [2.0 * number, 0.0, 1.0])
        paths = {name: folder / f"{number}_{name}.nii.gz" for name in ("FLAIR", "T1w")}
        shown = after(flair, moved) if number == 2 else flair
        # Cubic interpolation rings into the background, which a stripped image has at zero.
        shown = shown.with_voxels(np.where(shown.voxels > 30, shown.voxels, 0))
        write_intensities(paths["FLAIR"], shown)
        write_intensities(paths["T1w"], after(brain, moved))
        found.append(Scan("sub-01", f"ses-{number:02d}", paths))
    return found


def prepared(scans: list[Scan], settings: PreprocessingSettings, how: Steps) -> list[PreparedScan]:
    ready = [prepare_scan(scan, STRIPPED, settings=settings, steps=how) for scan in scans]
    return align_sessions(ready, settings=settings.registration, steps=how)


def content(scans: list[PreparedScan]) -> str:
    """Every byte and the order of the bytes in memory, on which sums depend."""
    digest = hashlib.sha256()
    for scan in scans:
        arrays = [scan.brain_mask.voxels, scan.brain_mask.affine, scan.to_participant]
        arrays.append(np.array(scan.alignment_inconsistency_mm))
        for name in sorted(scan.sequences):
            one = scan.sequences[name]
            assert one.log_bias_field is not None
            arrays += [one.image.voxels, one.image.affine, one.to_flair]
            arrays += [one.log_bias_field.voxels, one.log_bias_field.affine]
        for array in arrays:
            digest.update(f"{array.dtype} {array.shape} {array.strides}".encode())
            digest.update(array.tobytes(order="C"))
    return digest.hexdigest()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the expensive steps that were really taken."""
    made: list[str] = []

    def counted(module: object, name: str) -> None:
        whole: Callable[..., object] = getattr(module, name)

        def call(*args: object, **knobs: object) -> object:
            made.append(name)
            return whole(*args, **knobs)

        monkeypatch.setattr(module, name, call)

    counted(brain_mask, "brain_of")
    counted(bias_field, "find_bias_field")
    counted(registration, "rigid_registration")
    return made


@pytest.mark.slow
def test_a_cached_cohort_has_the_same_bytes_and_takes_no_expensive_step(
    sessions: list[Scan], settings: PreprocessingSettings, tmp_path: Path, calls: list[str]
) -> None:
    settings = settings.model_copy(
        update={
            "registration": RegistrationSettings(iterations=(10, 0, 0)),
            "bias_field": settings.bias_field.model_copy(update={"iterations": (5,)}),
        }
    )
    computed = content(prepared(sessions, settings, COMPUTED))
    assert sorted(calls) == (
        ["brain_of"] * 2 + ["find_bias_field"] * 4 + ["rigid_registration"] * 4
    )
    how = Steps(StepCache(tmp_path))
    assert content(prepared(sessions, settings, how)) == computed
    calls.clear()
    assert content(prepared(sessions, settings, how)) == computed
    assert calls == []
    assert len(list(tmp_path.rglob("*.entry"))) == 10


def test_a_changed_voxel_or_parameter_is_computed_and_the_rest_is_found(
    flair: Image, brain: Image, settings: PreprocessingSettings, tmp_path: Path, calls: list[str]
) -> None:
    how = Steps(StepCache(tmp_path))
    bias = settings.bias_field.model_copy(update={"iterations": (3,)})
    how.find_bias_field(flair, brain, settings=bias)
    voxels = flair.voxels.copy()
    voxels[20, 20, 20] += 1
    for image, mask, knobs in (
        (flair.with_voxels(voxels), brain, bias),
        (Image(flair.voxels, flair.affine @ np.diag([1.01, 1, 1, 1])), brain, bias),
        (flair, brain.with_voxels(np.where(brain.voxels > 400, brain.voxels, 0)), bias),
        (flair, brain, bias.model_copy(update={"iterations": (4,)})),
        (flair, brain, bias.model_copy(update={"shrink_mm": 9.0})),
    ):
        calls.clear()
        how.find_bias_field(image, mask, settings=knobs)
        assert calls == ["find_bias_field"]
    calls.clear()
    # The order in memory is not the content.
    how.find_bias_field(flair.with_voxels(np.asfortranarray(flair.voxels)), brain, settings=bias)
    assert calls == []


def test_changed_code_or_libraries_are_another_key(
    flair: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key_of(steps.BRAIN_SOURCE, image=flair)
    assert key_of(steps.BIAS_SOURCE, image=flair) != before
    source_hash.hash_of_source.cache_clear()
    monkeypatch.setattr(source_hash, "LIBRARIES", ("numpy",))
    assert key_of(steps.BRAIN_SOURCE, image=flair) != before
    source_hash.hash_of_source.cache_clear()


@pytest.mark.parametrize(
    ("module", "declared"),
    [
        ("preprocessing/brain_mask", steps.BRAIN_SOURCE),
        ("preprocessing/bias_field", steps.BIAS_SOURCE),
        ("preprocessing/registration", steps.MOTION_SOURCE),
    ],
)
def test_a_key_names_all_the_code_that_a_step_imports(
    module: str, declared: tuple[str, ...]
) -> None:
    seen: set[str] = set()
    due = [module]
    while due:
        name = due.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lesion_dyn"):
                parts = str(node.module).split(".")[1:]
                beside = [f"{'/'.join(parts)}/{alias.name}" for alias in node.names]
                due += [b for b in beside if (PACKAGE / f"{b}.py").is_file()] or ["/".join(parts)]
    # Neither the wording of errors nor the base of settings changes a voxel.
    seen -= {"errors", "settings/strict"}
    assert all(name in declared or name.partition("/")[0] in declared for name in seen), seen


@pytest.mark.parametrize("damage", ["truncated", "empty", "one bit", "no hash"])
def test_a_damaged_entry_is_noticed_and_computed_again(
    flair: Image, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    how = Steps(StepCache(tmp_path))
    whole = how.brain_of(flair, skull_stripped=True)
    (entry,) = tmp_path.rglob("*.entry")
    content = entry.read_bytes()
    bit = bytearray(content)
    bit[-40] ^= 4
    entry.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "empty": b"",
            "one bit": bytes(bit),
            "no hash": content[65:],
        }[damage]
    )
    again = how.brain_of(flair, skull_stripped=True)
    np.testing.assert_array_equal(again.voxels, whole.voxels)
    assert "damaged result is computed again" in caplog.text
    assert entry.read_bytes() == content


def _write_slowly(folder: Path) -> None:
    """A writer that is killed just before its file gets its name."""

    def replace(self: Path, target: Path) -> Path:
        (folder / "ready").touch()
        time.sleep(60)
        return target

    Path.replace = replace  # type: ignore[method-assign, assignment]
    StepCache(folder).arrays("step", "key", lambda: {"a": np.arange(5)})


def test_a_killed_writer_leaves_nothing_that_is_trusted_or_stays(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_write_slowly, args=(tmp_path,))
    process.start()
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (partial,) = (tmp_path / "step").iterdir()
    assert partial.name.startswith(".partial-")
    found = StepCache(tmp_path).arrays("step", "key", lambda: {"a": np.arange(7)})
    assert len(found["a"]) == 7
    bound = CacheSettings(folder=tmp_path, largest_gb=1)
    elsewhere = tmp_path / "step" / ".partial-00000000-1-x"  # of another computer
    elsewhere.write_bytes(b"half")
    trim(bound)
    assert not partial.exists()
    assert elsewhere.exists()  # perhaps somebody still writes it
    old = time.time() - 2 * 3600
    os.utime(elsewhere, (old, old))
    trim(bound)
    assert not elsewhere.exists()


def test_two_writers_of_one_entry_leave_one_whole_entry(tmp_path: Path) -> None:
    cache = StepCache(tmp_path)

    def make() -> dict[str, np.ndarray]:
        # While this one computes, another process finishes the same entry.
        cache.arrays("step", "key", lambda: {"a": np.arange(5)})
        return {"a": np.arange(5)}

    cache.arrays("step", "key", make)
    (entry,) = tmp_path.rglob("*.*")
    assert entry.name == "key.entry"
    found = cache.arrays("step", "key", lambda: pytest.fail("it is there"))
    np.testing.assert_array_equal(found["a"], np.arange(5))


def test_a_disk_that_is_full_costs_only_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(**knobs: object) -> tuple[int, str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step_cache.tempfile, "mkstemp", full)
    found = StepCache(tmp_path).arrays("step", "key", lambda: {"a": np.arange(5)})
    assert len(found["a"]) == 5
    assert "could not be kept" in caplog.text


def test_no_folder_keeps_nothing_and_a_bad_one_is_refused_at_once(tmp_path: Path) -> None:
    assert open_cache(CacheSettings(folder=None, largest_gb=1)) is None
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match="cannot be written"):
        open_cache(CacheSettings(folder=tmp_path / "file" / "cache", largest_gb=1))
