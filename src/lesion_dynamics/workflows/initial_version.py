"""The model version that a training starts from: whether it fits, and whom its weights know."""

from __future__ import annotations

import logging

from lesion_dynamics.cohort.splits import Split
from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.settings.training import TrainSettings

_LOG = logging.getLogger(__name__)


def initial_version(settings: TrainSettings) -> ModelVersion | None:
    """The model version to start from, if one is named and its network is the one to train."""
    if settings.initial_model_version is None:
        return None
    from lesion_dynamics.records.registry import resolve

    version = resolve(settings.initial_model_version, settings.tracking)
    theirs, ours = version.manifest.segmenter, settings.segmenter
    different = [
        f"segmenter.{name}"
        for name in ("network", "sequences")
        if getattr(theirs, name) != getattr(ours, name)
    ]
    if different:
        raise ModelVersionError(
            f"its weights do not fit: {' and '.join(different)} differ",
            where=f"initial_model_version={settings.initial_model_version}",
            remedy=f"Train with the segmenter of {version.label}; its manifest.json names it.",
        )
    for name in ("spacing_mm", "preprocessing"):
        if getattr(theirs, name) != getattr(ours, name):
            _LOG.warning("segmenter.%s is not that of %s", name, version.label)
    return version


def require_unseen(split: Split, initial: ModelVersion | None, settings: TrainSettings) -> None:
    """The weights to start from know nobody who validates: figures and operating point would
    flatter.

    Raises
    ------
    ModelVersionError : they do.
    """
    if initial is None:
        return
    seen = set(split.validation) & _learned_from(initial, cohort=settings.cohort.name)
    if seen:
        raise ModelVersionError(
            f"its weights have learned from {len(seen)} of the {len(split.validation)} "
            "participants that would validate",
            where=f"initial_model_version={settings.initial_model_version}",
            remedy="Take the fold and the split_seed that it was trained with."
            if settings.folds > 1
            else f"Set split_from={settings.initial_model_version}: everybody keeps the side they "
            "had there.",
        )


def _learned_from(version: ModelVersion, *, cohort: str) -> set[str]:
    """Participants of a cohort that a version, or one that it came from, was trained on."""
    training = version.manifest.training
    seen: set[str] = set()
    if training.get("cohort") == cohort:
        seen |= set((training.get("participants") or {}).get("training", ()))
    before = training.get("initial_model_version")
    while before:
        if before.get("cohort") == cohort:
            seen |= set(before.get("training_participants", ()))
        before = before.get("initial_model_version")
    return seen
