"""What ``model_version`` names: one model version, or several joined by ``+``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from lesion_dynamics.combined_version import SEPARATOR, combined
from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.model_version import LONGITUDINAL, MANIFEST_FILE, ModelVersion
from lesion_dynamics.records.registry import resolve
from lesion_dynamics.settings.engine import TestTimeAugmentation
from lesion_dynamics.settings.tracking import TrackingSettings

_FLIPS: Final = "flips"
_POINT: Final = re.compile(r"[tmc][0-9.e+-]+")
"""What rethreshold adds to a label: ``t0.4``, ``m9``, ``c6``."""


def resolve_all(
    reference: str, tracking: TrackingSettings, *, tta: TestTimeAugmentation = "none"
) -> ModelVersion:
    """The model version, or the mean of several, fixed to their numbers.

    reference : as :func:`registry.resolve` takes it, or several of these joined by ``+``.

    Raises
    ------
    ModelVersionError : one of them is not there, or they do not go together.
    """
    return combined([resolve(part, tracking) for part in _parts(reference)], tta=tta)


def pinned(reference: str, tracking: TrackingSettings) -> str:
    """The same model versions, every alias replaced by the number that it means now.

    Raises
    ------
    ModelVersionError : one of them is not there.
    """
    return SEPARATOR.join(
        part if Path(part).is_dir() else resolve(part, tracking).label for part in _parts(reference)
    )


def _parts(reference: str) -> list[str]:
    if (Path(reference) / MANIFEST_FILE).is_file():
        return [reference]
    parts = [part.strip() for part in reference.split(SEPARATOR)]
    _refuse_ways_of_use(parts, reference)
    return parts


def _refuse_ways_of_use(parts: list[str], reference: str) -> None:
    """Labels of outputs say how a version was used; that is told by keys of its own."""
    mode = f"-{LONGITUDINAL}"
    names = [part if Path(part).is_dir() else part.removesuffix(mode) for part in parts]
    points = [name for name in names if _POINT.fullmatch(name)]
    versions = SEPARATOR.join(name for name in names if name not in (_FLIPS, *points))
    told = {
        f"+{_FLIPS}": f" tta={_FLIPS}" if _FLIPS in names else "",
        mode: " longitudinal=shared" if names != parts else "",
        "".join(f"+{point}" for point in points): ", then lesion-dynamics rethreshold",
    }
    said = {what: key for what, key in told.items() if what and key}
    if said:
        raise ModelVersionError(
            f"{' and '.join(said)} says how a model version was used and is no part of its name",
            where=f"model_version={reference}",
            remedy=f"Give model_version={versions}{''.join(said.values())}.",
        )
