"""What can be drawn, and the refusal of what cannot. No torch: refusals come first."""

from __future__ import annotations

from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.settings.training import TrainSettings

GRID = (160, 192, 160)
"""Voxels of a drawn head; the MNI template's crop with a margin."""

SPACING_MM = 1.0
SEQUENCES = ("FLAIR", "T1w")

SYNTHESIS_SOURCE = ("phantom/anatomy", "synthesis")
"""The code that a drawn patch depends on."""

MARGIN = 5
"""Voxels rendered around a patch, so that blur and slices know their neighbours."""


def require_synthesisable(settings: TrainSettings) -> None:
    """Refuse what cannot be drawn.

    Raises
    ------
    ConfigurationError : another grid or another sequence than those drawn, a patch that is
        larger than a head, or a choice of patches that only labelled scans know.
    """
    segmenter, patch = settings.segmenter, settings.patch
    unknown = [name for name in segmenter.sequences if name not in SEQUENCES]
    if unknown:
        raise ConfigurationError(
            f"the synthesis draws {' and '.join(SEQUENCES)}, not {', '.join(unknown)}",
            where="segmenter.sequences",
            remedy="Leave these sequences out, or set synthesis.share=0.",
        )
    if segmenter.spacing_mm != SPACING_MM:
        raise ConfigurationError(
            f"the synthesis draws scans of {SPACING_MM} mm, not {segmenter.spacing_mm} mm",
            where="segmenter.spacing_mm",
            remedy=f"Set segmenter.spacing_mm={SPACING_MM}, or synthesis.share=0.",
        )
    largest = min(GRID) - 2 * MARGIN
    sizes = {"size_voxels": patch.size_voxels, "final_size_voxels": patch.final_size_voxels}
    for key, size in sizes.items():
        if size is not None and size > largest:
            raise ConfigurationError(
                f"patches of {size} voxels do not fit into a drawn head",
                where=f"patch.{key}",
                remedy=f"Set patch.{key} to at most {largest}.",
            )
    if settings.synthesis.share == 1 and (patch.lookalike_fraction or patch.lesion_size_power != 1):
        raise ConfigurationError(
            "without labelled patches lookalike_fraction and lesion_size_power change nothing",
            where="patch",
            remedy="Set patch.lookalike_fraction=0 and patch.lesion_size_power=1.",
        )
