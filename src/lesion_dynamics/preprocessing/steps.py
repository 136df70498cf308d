"""The expensive steps of preprocessing, computed or taken from a cache.

What is kept are the results that take seconds (a brain mask, a bias field on its coarse grid, a
rigid motion), not the images made with them, which take as long to read as to make.
A cached result has the bytes of a computed one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing import bias_field, brain_mask, registration
from lesion_dynamics.preprocessing.step_cache import Arrays, StepCache, key_of
from lesion_dynamics.settings.preprocessing import BiasFieldSettings, RegistrationSettings

# The code that each result comes from; a test compares this with what the modules import.
BRAIN_SOURCE = ("imaging", "lesions/box", "preprocessing/brain_mask")
BIAS_SOURCE = ("imaging", "preprocessing/bias_field", "settings/preprocessing")
MOTION_SOURCE = (
    "imaging",
    "preprocessing/native_output",
    "preprocessing/registration",
    "preprocessing/rigid_motion",
    "settings/preprocessing",
)


@dataclass(frozen=True, slots=True)
class Steps:
    """How the expensive steps are done.

    cache : None: everything is computed.
    """

    cache: StepCache | None = None

    def brain_of(self, image: Image, *, skull_stripped: bool) -> Image:
        """As :func:`brain_mask.brain_of`."""
        return self._image(
            "brain_mask",
            lambda: key_of(BRAIN_SOURCE, image=image, skull_stripped=skull_stripped),
            lambda: brain_mask.brain_of(image, skull_stripped=skull_stripped),
        )

    def find_bias_field(self, image: Image, brain: Image, *, settings: BiasFieldSettings) -> Image:
        """As :func:`bias_field.find_bias_field`."""
        return self._image(
            "bias_field",
            lambda: key_of(
                BIAS_SOURCE, image=image, brain=brain, settings=settings.model_dump_json()
            ),
            lambda: bias_field.find_bias_field(image, brain, settings=settings),
        )

    def rigid_registration(
        self,
        fixed: Image,
        moving: Image,
        *,
        settings: RegistrationSettings,
        start: Affine,
        fixed_brain: Image,
    ) -> Affine:
        """As :func:`registration.rigid_registration`."""

        def motion() -> Affine:
            return registration.rigid_registration(
                fixed, moving, settings=settings, start=start, fixed_brain=fixed_brain
            )

        if self.cache is None:
            return motion()
        key = key_of(
            MOTION_SOURCE,
            fixed=fixed,
            moving=moving,
            settings=settings.model_dump_json(),
            start=start,
            fixed_brain=fixed_brain,
        )
        found = self.cache.arrays("rigid_motion", key, lambda: {"motion": motion()})
        return np.asarray(found["motion"], dtype=np.float64)

    def _image(self, step: str, key: Callable[[], str], make: Callable[[], Image]) -> Image:
        if self.cache is None:
            return make()

        def arrays() -> Arrays:
            made = make()
            return {"voxels": made.voxels, "affine": made.affine}

        found = self.cache.arrays(step, key(), arrays)
        return Image(voxels=found["voxels"], affine=found["affine"])


COMPUTED = Steps()
"""Everything computed anew, nothing kept."""
