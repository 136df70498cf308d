"""Everything that turns a scan into a lesion probability, and so travels in the model version."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from lesion_dynamics.settings.networks import NetworkSettings
from lesion_dynamics.settings.preprocessing import PreprocessingSettings
from lesion_dynamics.settings.strict import Strict

Sequence = Literal["FLAIR", "T1w", "T2w", "PDw"]
Size = Annotated[int, Field(ge=8)]


class WindowSettings(Strict):
    """The sliding window of validation and of inference, which are the same.

    size_voxels : window on the network's grid; a brain that fits into it is done in one pass.
    overlap : share of a window that the next one covers again (0 to 0.9).
    """

    size_voxels: tuple[Size, Size, Size]
    overlap: float = Field(ge=0, le=0.9)


class SegmenterSettings(Strict):
    """A segmenter, apart from its weights and its operating point.

    sequences : input channels in their order; FLAIR first.
    optional_sequences : those that a scan may lack; their channel is then zero.
    spacing_mm : isotropic voxel edge of the network's grid.
    precision : arithmetic of training, validation and inference; ``auto`` is bf16 on GPUs and on
        processors with AMX, else float32.
    """

    sequences: tuple[Sequence, ...]
    optional_sequences: tuple[Sequence, ...]
    spacing_mm: float = Field(ge=0.5, le=4.0)
    precision: Literal["auto", "float32", "bf16"]
    preprocessing: PreprocessingSettings
    network: NetworkSettings
    window: WindowSettings

    @field_validator("sequences")
    @classmethod
    def _flair_first(cls, value: tuple[Sequence, ...]) -> tuple[Sequence, ...]:
        if not value or value[0] != "FLAIR" or len(set(value)) != len(value):
            raise ValueError("sequences start with FLAIR and name each sequence once")
        return value

    @model_validator(mode="after")
    def _optional_are_inputs(self) -> SegmenterSettings:
        if not set(self.optional_sequences) <= set(self.sequences) - {"FLAIR"}:
            raise ValueError("optional_sequences are some of sequences, and never FLAIR")
        return self

    @model_validator(mode="after")
    def _window_fits_the_network(self) -> SegmenterSettings:
        divisor = self.network.divisor
        if any(size % divisor for size in self.window.size_voxels):
            raise ValueError(
                f"window.size_voxels of {self.network.name} are multiples of {divisor}"
            )
        return self

    @property
    def required_sequences(self) -> tuple[Sequence, ...]:
        """Sequences that no scan may lack."""
        return tuple(s for s in self.sequences if s not in self.optional_sequences)
