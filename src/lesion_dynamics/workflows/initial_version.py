"""The model version that a training starts from: whether it fits, and whom its weights know."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

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
    reference = settings.initial_model_version
    if initial is None or reference is None:
        return
    for label, learned, fold in _learned(initial, reference, cohort=settings.cohort.name):
        seen = set(split.validation) & learned
        if seen:
            raise ModelVersionError(
                f"{label} has learned from {len(seen)} of the {len(split.validation)} participants "
                "that would validate",
                where=f"initial_model_version={reference}",
                remedy=f"{_remedy(label, fold, settings)} If they are other people with the same "
                "ids, give this cohort a cohort.name of its own.",
            )


def chain_from(initial: ModelVersion) -> dict[str, Any]:
    """The version that a training starts from, with what that one was started from, and so on."""
    training = initial.manifest.training
    return {
        "label": initial.label,
        "weights_sha256": initial.manifest.weights_sha256,
        "training_key": training.get("key"),
        # Whoever it learned from must not validate what comes of it.
        "cohort": training.get("cohort"),
        "fold": training.get("fold"),
        "training_participants": list((training.get("participants") or {}).get("training", ())),
        "initial_model_version": training.get("initial_model_version"),
    }


def _remedy(label: str, fold: str | None, settings: TrainSettings) -> str:
    if settings.synthesis.share == 1:
        return "Every labelled participant validates here: leave those out of the cohort."
    if settings.folds > 1:
        return (
            f"Take the same split_seed and its fold, {fold}."
            if fold
            else f"It was trained without folds: train without them, with split_from={label}."
        )
    return f"Set split_from={label}: everybody keeps the side they had there."


def _learned(
    version: ModelVersion, reference: str, *, cohort: str
) -> Iterator[tuple[str, set[str], str | None]]:
    """Name, participants of the cohort and fold of a version and of all that it came from.

    reference : what the version was asked for by: a folder need not be registered here.
    """
    training = version.manifest.training
    if training.get("cohort") == cohort:
        participants = set((training.get("participants") or {}).get("training", ()))
        yield reference, participants, training.get("fold")
    before = training.get("initial_model_version")
    while isinstance(before, Mapping):
        if "training_participants" not in before:
            _LOG.warning(
                "whom %s, which %s came from, has learned from is not in the manifest",
                *(before.get("label"), version.label),
            )
        elif before.get("cohort") == cohort:
            yield str(before["label"]), set(before["training_participants"]), before.get("fold")
        before = before.get("initial_model_version")
