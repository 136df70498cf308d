from __future__ import annotations

from collections import OrderedDict
from typing import Any, cast

import pytest
from tests.file_scheduling import FileScheduling


def scheduling(**files: dict[str, bool]) -> tuple[FileScheduling, Any]:
    """One process, with these files and what is done of them."""
    node: Any = object()
    found = FileScheduling.__new__(FileScheduling)
    found.workqueue = cast("Any", OrderedDict(later={"x": False}))
    found.assigned_work = {node: dict(files)}
    return found, node


@pytest.mark.parametrize("after", [True, False])
def test_only_what_a_process_that_ended_had_still_to_do_is_done_by_others(after: bool) -> None:
    files = {"done": {"a": True}, "begun": {"b": True, "c": False, "d": False}}
    found, node = scheduling(**files, **({"waiting": {"e": False}} if after else {}))
    assert found.remove_node(node) == "c"
    assert dict(found.workqueue) == {
        "later": {"x": False},
        "begun": {"b": True, "c": True, "d": False},
        **({"waiting": {"e": False}} if after else {}),
    }
    assert found.nodes == []


def test_the_last_test_of_a_process_is_not_done_again_and_one_at_rest_had_none() -> None:
    found, node = scheduling(begun={"b": True, "c": False})
    assert found.remove_node(node) == "c"
    found, node = scheduling(begun={"b": True, "c": True})
    assert found.remove_node(node) is None
    assert dict(found.workqueue) == {"later": {"x": False}}
