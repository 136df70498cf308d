"""Ray: the results of processes, dead actors replaced, failures by item; one local cluster."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conftest import Workplace

from lesion_dynamics.atomic_files import disk_full
from lesion_dynamics.errors import ConfigurationError, DiskFullError, ScanError
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.settings.inference import ExecutorSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows import inference
from lesion_dynamics.workflows.processes import Done
from lesion_dynamics.workflows.spreading import spread

# Read when Ray is loaded: it ends the process that finds its cluster gone for a minute, and other
# tests come after these.
os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "86400")
ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TWO = ExecutorSettings(kind="ray", processes=2, threads_per_process=1)
_start: int | None = None


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        logging_level=logging.ERROR, configure_logging=False,
    )  # fmt: skip
    yield
    ray.shutdown()


def begin(start: int) -> None:
    global _start
    assert _start is None, "an actor is initialised once"
    _start = start


def add(number: int) -> tuple[int, int]:
    if number == 3:
        raise ScanError("three is not wanted", where="number 3", remedy="Use another.")
    assert _start is not None
    return number + _start, os.getpid()


def die(task: tuple[Path | None, int]) -> int:
    marker, number = task
    if number == 2 and (marker is None or not marker.exists()):
        if marker is not None:
            marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def break_down(number: int) -> int:
    raise ZeroDivisionError(str(number))


def spreaded(function: object, items: list[object]) -> dict[object, Done[object, object]]:
    done = list(
        spread(function, items, executor=TWO, description="x", initializer=begin, arguments=(100,))  # type: ignore[arg-type]
    )
    assert len(done) == len(items)
    return {one.item: one for one in done}


def test_every_item_once_two_actors_each_initialised_once_and_a_failure_of_its_own() -> None:
    done = spreaded(add, list(range(8)))
    assert [done[n].result[0] for n in range(8) if n != 3] == [100 + n for n in range(8) if n != 3]
    assert done[3].failure == "number 3: three is not wanted. Use another."
    assert len({one.result[1] for n, one in done.items() if n != 3}) == 2


def test_the_item_of_a_killed_actor_is_done_again_and_nothing_twice(tmp_path: Path) -> None:
    done = spreaded(die, [(tmp_path / "died", number) for number in range(5)])
    assert sorted(one.result for one in done.values()) == [0, 1, 2, 3, 4]
    assert (tmp_path / "died").exists()


def test_an_item_that_kills_every_actor_fails_alone() -> None:
    done = spreaded(die, [(None, number) for number in range(4)])
    assert {item[1]: one.result for item, one in done.items()} == {0: 0, 1: 1, 2: None, 3: 3}
    assert "died twice" in str(done[None, 2].failure)


def begin_badly() -> None:
    raise RuntimeError("CUDA out of memory")


def refuse_to_begin() -> None:
    raise ScanError("no weights", where="version 1", remedy="Train one.")


def find_the_disk_full() -> None:
    raise disk_full(Path("/full"))


def begin_unless_second(folder: Path) -> None:
    """One of two finds too little memory."""
    try:
        (folder / "first").mkdir()
    except FileExistsError:
        if not (folder / "said").exists():
            (folder / "said").touch()
            raise RuntimeError("CUDA out of memory") from None


def begin_at_the_third(folder: Path) -> None:
    """Two at once find too little memory."""
    (folder / str(os.getpid())).touch()
    if len(list(folder.iterdir())) <= 2:
        raise RuntimeError("CUDA out of memory")


def double(number: int) -> int:
    return 2 * number


def begun(
    initializer: Callable[..., None], arguments: tuple[object, ...] = (), *, actors: int = 2
) -> dict[int, tuple[int | None, str | None]]:
    """What becomes of six numbers where actors begin like this."""
    executor = TWO.model_copy(update={"processes": actors})
    done = list(
        spread(
            double, list(range(6)), executor=executor, description="x",
            initializer=initializer, arguments=arguments,
        )
    )  # fmt: skip
    assert len(done) == 6
    return {one.item: (one.result, one.failure) for one in done}


@pytest.mark.parametrize("actors", [1, 2])
def test_the_reason_of_an_actor_that_cannot_begin_is_that_of_every_item(actors: int) -> None:
    reason = "a process could not begin: unexpected RuntimeError: CUDA out of memory"
    assert begun(begin_badly, actors=actors) == dict.fromkeys(range(6), (None, reason))
    said = "version 1: no weights. Train one."
    assert begun(refuse_to_begin, actors=actors) == dict.fromkeys(range(6), (None, said))
    with pytest.raises(DiskFullError, match="the disk is full"):
        begun(find_the_disk_full, actors=actors)


def test_what_an_actor_that_cannot_begin_was_given_the_others_do(tmp_path: Path) -> None:
    for begin in (begin_unless_second, begin_at_the_third):
        folder = tmp_path / begin.__name__
        folder.mkdir()
        assert begun(begin, (folder,)) == {n: (2 * n, None) for n in range(6)}


def test_a_defect_is_raised_as_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        spreaded(break_down, [1])


def test_an_inference_on_ray_has_the_bytes_of_one_in_processes(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path
) -> None:
    source, data = trained[0].data / "study", tmp_path / "data/study"
    for name in ("sub-ms01", "phenotype"):
        shutil.copytree(source / name, data / name)
    shutil.copy(source / "dataset_description.json", data)
    for name in ("participants.tsv", "phenotype/attacks.tsv"):
        header, *rows = (source / name).read_text().splitlines(keepends=True)
        (data / name).write_text(header + "".join(r for r in rows if r.startswith("sub-ms01")))
    place = Workplace(trained[0].folder, tmp_path / "data")
    found = []
    for kind in ("local", "ray"):
        own = f"output={tmp_path / kind}", f"cache.folder={tmp_path / kind}-cache"
        result = inference.run(place.inference(f"executor={kind}", *own))
        assert result.done > 0
        found.append(
            {p.relative_to(tmp_path / kind): p.read_bytes() for p in result.folder.rglob("*.*")}
        )
    assert found[0] == found[1]


def test_no_room_is_said() -> None:
    wide = TWO.model_copy(update={"threads_per_process": 9})
    with pytest.raises(ConfigurationError, match="no room for one process of 9 threads"):
        list(spread(add, [1], executor=wide, description="", initializer=begin, arguments=(1,)))
    gpu = TWO.model_copy(update={"gpus_per_process": 1.0})
    if not ray.cluster_resources().get("GPU"):
        with pytest.raises(ConfigurationError, match="0 GPUs"):
            list(spread(add, [1], executor=gpu, description="", initializer=begin, arguments=(1,)))


def test_a_cluster_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def init(*, address: str, **given: object) -> None:
        asked.append(address)
        raise ConnectionError("nobody there")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    far = TWO.model_copy(update={"address": "10.0.0.1:6379"})
    with pytest.raises(ConfigurationError, match=r"nobody there.*ray start"):
        list(spread(add, [1], executor=far, description="", initializer=begin, arguments=(1,)))
    assert asked == ["10.0.0.1:6379"]


def test_without_ray_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'lesion-dynamics\[cluster\]'"):
        list(spread(add, [1], executor=TWO, description="", initializer=begin, arguments=(1,)))


def test_a_cluster_belongs_to_ray() -> None:
    with pytest.raises(ConfigurationError, match="belong to executor=ray"):
        validated(ExecutorSettings, {"processes": 1, "threads_per_process": 1, "address": "auto"})
