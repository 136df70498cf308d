"""Several model versions, or one with test-time augmentation, as one model version.

What changes the lesion masks on purpose changes the name: tables, folders and sidecars of
``lesion-segmenter/1+lesion-segmenter/2`` or ``lesion-segmenter/1+flips`` are never taken for
those of ``lesion-segmenter/1``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lesion_dynamics.atomic_files import hash_of_content
from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.settings.engine import TestTimeAugmentation

SEPARATOR = "+"
_SHARED = (
    "sequences",
    "optional_sequences",
    "spacing_mm",
    "precision",
    "preprocessing",
    "window",
)
"""What all members of an ensemble have to have in common; networks may differ."""


@dataclass(frozen=True, slots=True)
class CombinedVersion(ModelVersion):
    """A model version whose lesion probability is a mean.

    members : their probabilities are averaged voxel by voxel; the operating point is that of
        the first. tta : each member's probability is itself a mean over mirrored scans.
    """

    members: tuple[ModelVersion, ...] = ()
    tta: TestTimeAugmentation = "none"

    @property
    def label(self) -> str:
        """``name/number+name/number+flips``: what tables record."""
        names = [*(one.label for one in self.members), *self._flips]
        return SEPARATOR.join(names) + self._suffix

    @property
    def folder_name(self) -> str:
        """``name-v<number>+name-v<number>+flips``: what derivatives folders are called."""
        names = [*(one.folder_name for one in self.members), *self._flips]
        return SEPARATOR.join(names) + self._suffix

    @property
    def _flips(self) -> tuple[str, ...]:
        return () if self.tta == "none" else (self.tta,)


def combined(members: Sequence[ModelVersion], *, tta: TestTimeAugmentation) -> ModelVersion:
    """The mean over members and mirrored scans; a single member alone is itself.

    Raises
    ------
    ModelVersionError : two members are the same, or differ in what a scan goes through before
        the network sees it.
    """
    first = members[0]
    if len(members) == 1 and tta == "none":
        return first
    for other in members[1:]:
        _require_same_preprocessing(first, other)
    labels = [one.label for one in members]
    repeated = next((label for label in labels if labels.count(label) > 1), None)
    if repeated is not None:
        raise ModelVersionError(
            f"the ensemble names {repeated} twice",
            where=f"model_version={SEPARATOR.join(labels)}",
            remedy="Name each member once.",
        )
    hashes = [one.manifest.weights_sha256 for one in members]
    manifest = first.manifest.model_copy(
        update={
            "weights_sha256": hashes[0] if len(hashes) == 1 else hash_of_content(hashes),
            "validation": {},
            "training": {"members": labels},
        }
    )
    return CombinedVersion(
        first.name, first.number, manifest, first.weights, members=tuple(members), tta=tta
    )


def members_of(version: ModelVersion) -> tuple[ModelVersion, ...]:
    """The model versions whose networks run."""
    return version.members if isinstance(version, CombinedVersion) else (version,)


def tta_of(version: ModelVersion) -> TestTimeAugmentation:
    """Over which mirrored scans the mean goes."""
    return version.tta if isinstance(version, CombinedVersion) else "none"


def _require_same_preprocessing(first: ModelVersion, other: ModelVersion) -> None:
    for name in _SHARED:
        if getattr(first.manifest.segmenter, name) != getattr(other.manifest.segmenter, name):
            raise ModelVersionError(
                f"the members of an ensemble differ in {name}, so they see different scans",
                where=f"model_version={first.label}{SEPARATOR}{other.label}",
                remedy="Combine versions that were trained with the same segmenter settings.",
            )
