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
    parts = [reference]
    if not (Path(reference) / MANIFEST_FILE).is_file():
        parts = [part.strip() for part in reference.split(SEPARATOR)]
    return combined([resolve(part, tracking) for part in parts], tta=tta)
