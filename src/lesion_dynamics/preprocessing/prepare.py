"""The order of one scan's preprocessing; what was done before is not done again."""

from __future__ import annotations

import numpy as np

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_image
from lesion_dynamics.preprocessing.bias_field import without_bias_field
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.preprocessing.registration import start_of_same_session
from lesion_dynamics.preprocessing.resampling import resample
from lesion_dynamics.preprocessing.rigid_motion import inverse
from lesion_dynamics.preprocessing.steps import COMPUTED, Steps
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.preprocessing import PreprocessingSettings


def prepare_scan(
    scan: Scan,
    prepared: Prepared,
    *,
    settings: PreprocessingSettings,
    steps: Steps = COMPUTED,
) -> PreparedScan:
    """Brain mask from the FLAIR, other sequences registered to it, bias fields out.

    prepared : what was done to the cohort's scans before; the scan's own word goes first.
    steps : whether the expensive steps are computed or may be taken from a cache.

    Raises
    ------
    ScanError : a file cannot be used, no brain is found, or a sequence cannot be registered.
    """
    before = scan.prepared or prepared
    images = {name: read_image(path) for name, path in scan.images.items()}
    flair = images["FLAIR"]
    try:
        brain = steps.brain_of(flair, skull_stripped=before.skull_stripped)
        sequences: dict[str, PreparedSequence] = {}
        for name, image in images.items():
            to_flair = np.eye(4)
            if name != "FLAIR" and not before.sequences_aligned:
                to_flair = _registered_to_flair(flair, brain, image, settings=settings, steps=steps)
            sequences[name] = _without_bias(
                image, brain, to_flair, before=before, settings=settings, steps=steps
            )
    except ScanError as error:
        where = f"{' '.join(scan.key)} {error.where}"
        raise ScanError(error.what, where=where, remedy=error.remedy) from error
    return PreparedScan(sequences=sequences, brain_mask=brain, to_participant=np.eye(4))


def _registered_to_flair(
    flair: Image, brain: Image, image: Image, *, settings: PreprocessingSettings, steps: Steps
) -> Affine:
    image_from_flair = steps.rigid_registration(
        flair,
        image,
        settings=settings.registration,
        start=start_of_same_session(brain, image),
        fixed_brain=brain,
    )
    return inverse(image_from_flair)


def _without_bias(
    image: Image,
    brain: Image,
    to_flair: Affine,
    *,
    before: Prepared,
    settings: PreprocessingSettings,
    steps: Steps,
) -> PreparedSequence:
    if before.bias_corrected or not settings.bias_field.enabled:
        return PreparedSequence(image=image, to_flair=to_flair)
    own_brain = resample(
        brain,
        shape=image.shape,
        affine=image.affine,
        image_from_target=to_flair,
        interpolation="nearest",
    )
    log_field = steps.find_bias_field(image, own_brain, settings=settings.bias_field)
    return PreparedSequence(
        image=without_bias_field(image, log_field), to_flair=to_flair, log_bias_field=log_field
    )
