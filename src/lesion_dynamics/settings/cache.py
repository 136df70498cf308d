"""Where the expensive results of preprocessing are kept between commands."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lesion_dynamics.settings.strict import Strict


class CacheSettings(Strict):
    """Brain masks, bias fields and rigid motions, kept under the hash of what they come from.

    Training and inference share the folder; it may be deleted at any time, between commands.

    folder : receives one small file a result; null: every command computes everything anew.
    largest_gb : when a command begins and when it ends, the entries that were used longest ago
        are removed until the folder is no larger than this (10^9 bytes).
    objects_gb : of a cohort in an object store, so much of its scans lies here at once (10^9
        bytes) for each inference: what is worked on, and what comes next.
    """

    folder: Path | None
    largest_gb: float = Field(gt=0)
    objects_gb: float = Field(default=4.0, gt=0)
