"""What ``model_version`` names: one model version, or several joined by ``+``."""

from __future__ import annotations

from pathlib import Path

from lesion_dynamics.combined_version import SEPARATOR, combined
from lesion_dynamics.model_version import MANIFEST_FILE, ModelVersion
from lesion_dynamics.records.registry import resolve
from lesion_dynamics.settings.engine import TestTimeAugmentation
from lesion_dynamics.settings.tracking import TrackingSettings


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
    return [part.strip() for part in reference.split(SEPARATOR)]
