"""The phantom's participants with every voxel's lesion known, and masks as raters would draw them.

The phantom writes one mask a session. Here its generator is run again without the scanner, so
that the voxels of every single lesion are known: what tracking is judged against.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.box import box_around
from lesion_dynamics.lesions.tracking.interval import LabelledSession, TrackedInterval
from lesion_dynamics.phantom.anatomy import load_template
from lesion_dynamics.phantom.disease_course import ParticipantCourse, simulate_study
from lesion_dynamics.phantom.lesion_shapes import draw_shape, render_lesions
from lesion_dynamics.phantom.lesion_sites import draw_sites
from lesion_dynamics.phantom.participant_anatomy import draw_anatomy
from lesion_dynamics.phantom.protocol import draw_position, study_protocol
from lesion_dynamics.phantom.random_streams import stream
from lesion_dynamics.phantom.scan_grid import sample_tissue
from lesion_dynamics.preprocessing.resampling import resample
from lesion_dynamics.settings.phantom import PhantomSettings

NEW_MM3 = 30.0
_MARGIN_MM = 6.0
_BORDER_VOXELS = 5
_SHARE = 0.1


@dataclass(frozen=True)
class TrueSession:
    """owner : on the native grid, number + 1 of the lesion. place : participant from scanner."""

    owner: Image
    place: Affine


@dataclass(frozen=True)
class TrueParticipant:
    """volumes_mm3 : (lesions, sessions) of the course; 0 where a lesion is absent."""

    participant_id: str
    volumes_mm3: NDArray[np.float64]
    sessions: tuple[TrueSession, ...]


@dataclass(frozen=True)
class MaskNoise:
    """How a mask differs from the truth and from its repetition; standard deviations.

    boundary_mm : of the boundary from place to place, correlated over ``correlated_mm``.
    bias_mm : of the whole boundary of a session. shift_mm, turn_degrees : of alignment, an axis.
    """

    boundary_mm: float = 0.35
    correlated_mm: float = 2.0
    bias_mm: float = 0.15
    shift_mm: float = 0.3
    turn_degrees: float = 0.15


def true_participants(
    settings: PhantomSettings, step: int, start: int
) -> Iterator[TrueParticipant]:
    """Every ``step``-th participant of the study cohort that has lesions."""
    for course in simulate_study(settings)[start::step]:
        if len(course.lesions.volumes_mm3):
            yield true_participant(settings, course)


def true_participant(
    settings: PhantomSettings, course: ParticipantCourse, *, sessions: int | None = None
) -> TrueParticipant:
    """What `phantom.study_generation.write_participant` lays into a participant's scans.

    sessions : the first ones alone.
    """
    template, name, seed = load_template(), course.participant_id, settings.seed
    anatomy = draw_anatomy(stream(seed, "study", name, "anatomy"), template)
    rng = stream(seed, "study", name, "lesions")
    volumes = course.lesions.volumes_mm3
    centres = draw_sites(rng, course.schedule.diagnosis, volumes.max(axis=1, initial=0.0))
    shapes = [draw_shape(rng, centre) for centre in centres]
    centres_mm = anatomy.from_template_mm(centres.T).T
    found = []
    for number, session in enumerate(course.schedule.session_ids[:sessions]):
        protocol = study_protocol(
            course.schedule.scanners[number], voxel_size_mm=settings.voxel_size_mm
        )
        place = draw_position(stream(seed, "study", name, session), degrees=3.0, millimetres=4.0)
        tissue = sample_tissue(
            anatomy, template,
            voxel_sizes_mm=protocol.voxel_sizes_mm, participant_from_scanner=place,
        )  # fmt: skip
        field = render_lesions(
            tissue, shapes, centres_mm, np.asarray(volumes[:, number]),
            total_mm3=float(course.totals_mm3[number]),
        )  # fmt: skip
        owner = np.zeros(tissue.shape, dtype=np.int32)
        owner.reshape(-1)[tissue.place[field.mask]] = field.owner[field.mask] + 1
        found.append(TrueSession(Image(owner, tissue.affine), place))
    return TrueParticipant(name, volumes, tuple(found))


def tracking_grid(participant: TrueParticipant) -> tuple[tuple[int, ...], Affine]:
    """A 1 mm grid in the participant's space around all lesions."""
    corners = []
    for session in participant.sessions:
        index = np.argwhere(session.owner.voxels > 0)
        if len(index):
            ends = np.array(np.meshgrid(*zip(index.min(0), index.max(0), strict=True)))
            matrix = session.place @ session.owner.affine
            corners.append((matrix[:3, :3] @ ends.reshape(3, -1)).T + matrix[:3, 3])
    places = np.concatenate(corners)
    low = np.floor(places.min(axis=0) - _MARGIN_MM)
    size = np.ceil(places.max(axis=0) + _MARGIN_MM - low).astype(int) + 1
    affine = np.eye(4)
    affine[:3, 3] = low
    return tuple(int(n) for n in size), affine


def noisy_mask(
    session: TrueSession,
    grid: tuple[tuple[int, ...], Affine],
    rng: np.random.Generator,
    noise: MaskNoise,
) -> LabelledSession:
    """The session's mask with another boundary, misaligned, on the tracking's grid."""
    owner = _cut_out(session.owner)
    true, edges = owner.voxels > 0, np.array(owner.voxel_sizes_mm)
    half = edges.min() / 2
    depth = np.where(
        true,
        ndimage.distance_transform_edt(true, sampling=edges) - half,
        half - ndimage.distance_transform_edt(~true, sampling=edges),
    )
    waves = ndimage.gaussian_filter(
        rng.standard_normal(true.shape).astype(np.float32), noise.correlated_mm / 2 / edges
    )
    drawn = depth + noise.boundary_mm * waves / waves.std() + noise.bias_mm * rng.standard_normal()
    mask = owner.with_voxels((drawn > 0).astype(np.float32))
    share = resample(
        mask, shape=grid[0], affine=grid[1],
        image_from_target=np.linalg.inv(_misaligned(rng, noise) @ session.place),
        interpolation="linear",
    )  # fmt: skip
    return LabelledSession.of_mask(share.voxels >= 0.5, connectivity=26)


def true_labels(session: TrueSession, grid: tuple[tuple[int, ...], Affine]) -> NDArray[np.int32]:
    """Number of the true lesion + 1 on the tracking's grid."""
    laid = resample(
        session.owner, shape=grid[0], affine=grid[1],
        image_from_target=np.linalg.inv(session.place), interpolation="nearest",
    )  # fmt: skip
    return np.asarray(laid.voxels, dtype=np.int32)


@dataclass
class NewLesionScore:
    """Counts over intervals; a lesion is found, or true, from a tenth of its voxels on."""

    found: int = 0
    missed: int = 0
    false: int = 0

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and precision."""
        return 2 * self.found / max(2 * self.found + self.missed + self.false, 1)

    def add(
        self,
        tracked: TrackedInterval,
        volumes_mm3: NDArray[Any],
        truth: NDArray[np.int32],
    ) -> None:
        """Compare one interval.

        volumes_mm3 : (lesions,) at its start, 0 = not there yet. truth : `true_labels` at its end.
        """
        new = tracked.change_map == 2
        sizes = np.bincount(truth.ravel(), minlength=len(volumes_mm3) + 1)[1:]
        covered = np.bincount(truth[new], minlength=len(volumes_mm3) + 1)[1:]
        appeared = volumes_mm3 == 0
        large = appeared & (sizes >= NEW_MM3)
        found = large & (covered >= _SHARE * sizes)
        self.found += int(found.sum())
        self.missed += int((large & ~found).sum())
        parts, count = ndimage.label(new, np.ones((3, 3, 3)))
        of_new = np.concatenate([[False], appeared])[truth]
        voxels = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        true = np.bincount(parts[of_new], minlength=count + 1)[1:]
        self.false += int(((voxels >= NEW_MM3) & (true < _SHARE * voxels)).sum())


def _cut_out(image: Image) -> Image:
    """The box that holds lesions, with a border."""
    box = [
        slice(max(part.start - _BORDER_VOXELS, 0), part.stop + _BORDER_VOXELS)
        for part in box_around(image.voxels > 0)
    ]
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    return Image(image.voxels[tuple(box)], affine)


def _misaligned(rng: np.random.Generator, noise: MaskNoise) -> Affine:
    x, y, z = np.deg2rad(noise.turn_degrees) * rng.standard_normal(3)
    motion = np.eye(4)
    motion[:3, :3] += np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    motion[:3, 3] = noise.shift_mm * rng.standard_normal(3)
    return motion
