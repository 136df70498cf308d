"""The number of a model version in a store of one's own, without opening the store for it.

Opening migrates, delivers and takes seconds; a call that only segments one scan leaves the store
as it is. The tables are MLflow's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing

from lesion_dynamics.settings.tracking import TrackingSettings

_REMOVED = "Deleted_Internal"


def number_in_own_store(tracking: TrackingSettings, name: str, tags: Mapping[str, str]) -> int:
    """The number of the version of ``name`` that has all ``tags``, or that it would get now.

    1 where there is no store, or none that can be read.
    """
    if not tracking.database.is_file():
        return 1
    place = f"{tracking.database.as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(place, uri=True)) as connection:
            versions = connection.execute(
                "SELECT version, current_stage FROM model_versions WHERE name = ?", [name]
            ).fetchall()
            found = connection.execute(
                "SELECT version, key, value FROM model_version_tags WHERE name = ?", [name]
            ).fetchall()
    except sqlite3.Error:
        return 1
    theirs: dict[int, dict[str, str]] = {}
    for version, key, value in found:
        theirs.setdefault(int(version), {})[str(key)] = str(value)
    same = [
        int(version)
        for version, stage in versions
        if stage != _REMOVED and tags.items() <= theirs.get(int(version), {}).items()
    ]
    return min(same, default=1 + max((int(version) for version, _ in versions), default=0))
