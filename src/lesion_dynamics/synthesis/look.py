"""What a sequence looks like: levels of tissues and lesions, artefacts, resolution. Drawn.

Levels are relative to white matter = 1 in the same sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

from lesion_dynamics.synthesis.fields import Draws


@dataclass(frozen=True)
class SequenceLook:
    """One sequence of one scan.

    cortex, nuclei, fluid, choroid, residue : levels; residue_from : of a field of unit deviation,
    above which remnants of meninges and vessels lie in fluid up to residue_mm deep.
    limbic, tracts : added to the limbic lobe's grey matter and to white-matter tracts, see
    :mod:`lesion_dynamics.synthesis.bright_places`.
    lesion : signed contrast to white matter. halo : brightness just outside lesions, 0 to 1;
    edge_voxels : blur of lesions. rim, cap, septum, dirty : unlabelled brightness on the walls of
    ventricles, around them, at the midline, in white matter.
    *_texture, *_patches : deviations of fine and of coarse texture; nuclei have two coarse ones.
    specks : deviation of spots as large as small lesions in cortex and nuclei. flow : brightness
    in fluid. blur_voxels : point spread. slice_voxels, slice_axis, slice_phase : thick slices
    (1 = none). bias, noise : deviations; noise_blur in voxels. gamma : of the whole range.
    shift_voxels : error of the alignment to FLAIR.
    """

    cortex: float
    limbic: float
    tracts: float
    nuclei: float
    fluid: float
    choroid: float
    residue: float
    residue_from: float
    residue_mm: float
    lesion: float
    halo: float
    edge_voxels: float
    rim: float
    cap: float
    septum: float
    dirty: float
    cortex_texture: float
    cortex_patches: float
    nuclei_patches: float
    specks: float
    white_texture: float
    flow: float
    blur_voxels: tuple[float, float, float]
    slice_voxels: float
    slice_axis: int
    slice_phase: float
    bias: float
    noise: float
    noise_blur: float
    gamma: float
    shift_voxels: tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Both sequences; fluid_removed : whether fluid was cut away with the skull.

    patches_voxels, spots_voxels : scales of the textures that both sequences show; spots are also
        choroid, flow and remnants of meninges.
    """

    flair: SequenceLook
    t1w: SequenceLook
    fluid_removed: bool
    patches_voxels: float = 11.0
    spots_voxels: float = 3.0


def draw_look(draws: Draws) -> Look:
    """A protocol, a scanner and a patient never seen before."""
    return Look(
        flair=_flair(draws),
        t1w=_t1w(draws),
        fluid_removed=draws.happens(0.3),
        patches_voxels=draws.uniform(7.0, 20.0),
        spots_voxels=draws.uniform(2.2, 5.0),
    )


def _resolution(draws: Draws, thick: float) -> tuple[tuple[float, float, float], float, int, float]:
    sharp = draws.uniform(0.2, 0.7)
    blur = (sharp, sharp * draws.uniform(0.8, 1.3), sharp * draws.uniform(0.8, 1.3))
    if not draws.happens(thick):
        return blur, 1.0, 2, 0.0
    axis = (0, 1, 2, 2, 2)[draws.integer(5)]
    return blur, draws.uniform(1.5, 5.0), axis, draws.uniform(0.0, 1.0)


def _bias(draws: Draws) -> float:
    """What bias correction leaves; now and then it leaves much."""
    return draws.uniform(0.01, 0.12) if draws.happens(0.85) else draws.uniform(0.12, 0.2)


def _flair(draws: Draws) -> SequenceLook:
    cortex = draws.uniform(1.03, 1.38)
    noise_blur = (0.0, 0.5, 0.8)[draws.integer(3)]
    noise = draws.uniform(0.01, 0.09) * (0.7 if noise_blur > 0 else 1.0)
    blur, slices, axis, phase = _resolution(draws, 0.35)
    # Over grey matter, mostly, and never lost in the noise: what nobody sees is no label.
    lesion = max(0.8 * (cortex - 1) + draws.uniform(0.08, 0.6), 2.5 * noise)
    if draws.happens(0.12):  # fresh, oedematous lesions
        lesion += draws.uniform(0.3, 1.2)
    return SequenceLook(
        cortex=cortex,
        limbic=draws.uniform(0.0, 0.45) if draws.happens(0.8) else 0.0,
        tracts=lesion * draws.uniform(0.1, 0.7) if draws.happens(0.4) else 0.0,
        nuclei=1 + (cortex - 1) * draws.uniform(-0.3, 1.3),
        fluid=draws.uniform(0.02, 0.5),
        choroid=draws.uniform(0.4, 1.9),
        residue=draws.uniform(0.5, 2.2),
        residue_from=draws.uniform(0.6, 3.0),
        residue_mm=draws.uniform(1.5, 6.0),
        lesion=lesion,
        halo=draws.uniform(0.0, 0.3),
        edge_voxels=draws.uniform(0.3, 1.2),
        rim=lesion * draws.uniform(0.1, 0.9) if draws.happens(0.6) else 0.0,
        cap=lesion * draws.uniform(0.0, 0.35),
        septum=lesion * draws.uniform(0.2, 1.1) if draws.happens(0.6) else 0.0,
        dirty=lesion * draws.uniform(0.0, 0.3),
        cortex_texture=draws.uniform(0.02, 0.11),
        cortex_patches=draws.uniform(0.03, 0.15),
        nuclei_patches=draws.uniform(0.0, 0.12),
        specks=draws.uniform(0.0, 0.18) if draws.happens(0.75) else 0.0,
        white_texture=draws.uniform(0.01, 0.05),
        flow=draws.uniform(0.0, 1.2) if draws.happens(0.5) else 0.0,
        blur_voxels=blur,
        slice_voxels=slices,
        slice_axis=axis,
        slice_phase=phase,
        bias=_bias(draws),
        noise=noise,
        noise_blur=noise_blur,
        gamma=draws.uniform(0.8, 1.25),
        shift_voxels=(0.0, 0.0, 0.0),
    )


def _t1w(draws: Draws) -> SequenceLook:
    blur, slices, axis, phase = _resolution(draws, 0.2)
    cortex = draws.uniform(0.58, 0.88)
    return SequenceLook(
        cortex=cortex,
        limbic=0.0,
        tracts=0.0,
        nuclei=cortex + (1 - cortex) * draws.uniform(0.1, 0.7),
        fluid=draws.uniform(0.1, 0.45),
        choroid=draws.uniform(0.3, 0.95),
        residue=draws.uniform(0.4, 1.3),
        residue_from=draws.uniform(0.6, 3.0),
        residue_mm=draws.uniform(1.5, 6.0),
        lesion=-draws.uniform(0.0, 0.55) if draws.happens(0.8) else 0.0,
        halo=0.0,
        edge_voxels=draws.uniform(0.4, 1.2),
        rim=0.0,
        cap=0.0,
        septum=0.0,
        dirty=-draws.uniform(0.0, 0.05),
        cortex_texture=draws.uniform(0.01, 0.06),
        cortex_patches=draws.uniform(0.01, 0.06),
        nuclei_patches=draws.uniform(0.0, 0.05),
        specks=draws.uniform(0.0, 0.1) if draws.happens(0.75) else 0.0,
        white_texture=draws.uniform(0.005, 0.03),
        flow=0.0,
        blur_voxels=blur,
        slice_voxels=slices,
        slice_axis=axis,
        slice_phase=phase,
        bias=_bias(draws),
        noise=draws.uniform(0.005, 0.06),
        noise_blur=(0.0, 0.6)[draws.integer(2)],
        gamma=draws.uniform(0.85, 1.2),
        shift_voxels=(0.5 * draws.normal(), 0.5 * draws.normal(), 0.5 * draws.normal()),
    )
