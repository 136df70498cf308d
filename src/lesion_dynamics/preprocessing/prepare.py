"""The order of one scan's preprocessing; what was done before is not done again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_image
from lesion_dynamics.preprocessing.bias_field import without_bias_field
from lesion_dynamics.preprocessing.gradient_distortion import gradient_warp
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.preprocessing.registration import start_of_same_session
from lesion_dynamics.preprocessing.rigid_motion import inverse
from lesion_dynamics.preprocessing.steps import COMPUTED, Steps
from lesion_dynamics.preprocessing.transform import Warp, resample_through
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

    Where the scan names gradient coefficients, every transform is between true places.

    prepared : what was done to the cohort's scans before; the scan's own word goes first.
    steps : whether the expensive steps are computed or may be taken from a cache.

    Raises
    ------
    ScanError : a file cannot be used, no brain is found, or a sequence cannot be registered.
    """
    before = scan.prepared or prepared
    images = read_images(scan)
    warps = {name: _gradient_warp(scan, image) for name, image in images.items()}
    flair = PreparedSequence(images["FLAIR"], np.eye(4), gradient_warp=warps["FLAIR"])
    try:
        brain = steps.brain_of(flair.image, skull_stripped=before.skull_stripped)
        sequences: dict[str, PreparedSequence] = {}
        for name, image in images.items():
            raw = PreparedSequence(image, np.eye(4), gradient_warp=warps[name])
            if name != "FLAIR" and not before.sequences_aligned:
                to_flair = _registered_to_flair(flair, brain, raw, settings=settings, steps=steps)
                raw = replace(raw, to_flair=to_flair)
            sequences[name] = _without_bias(
                raw, brain, flair, before=before, settings=settings, steps=steps
            )
    except ScanError as error:
        where = f"{' '.join(scan.key)} {error.where}"
        raise ScanError(error.what, where=where, remedy=error.remedy) from error
    return PreparedScan(sequences=sequences, brain_mask=brain, to_participant=np.eye(4))


def read_images(scan: Scan) -> dict[str, Image]:
    """A scan's images by the name of their sequence, decompressed side by side.

    Raises
    ------
    ScanError : a file cannot be used.
    """
    with ThreadPoolExecutor(len(scan.images)) as pool:
        return dict(zip(scan.images, pool.map(read_image, scan.images.values()), strict=True))


def _gradient_warp(scan: Scan, image: Image) -> Warp | None:
    if scan.gradient_coefficients is None:
        return None
    return gradient_warp(image, scan.gradient_coefficients)


def _registered_to_flair(
    flair: PreparedSequence,
    brain: Image,
    raw: PreparedSequence,
    *,
    settings: PreprocessingSettings,
    steps: Steps,
) -> Affine:
    true_brain = flair.at_true_places(brain, interpolation="nearest")
    true_image = raw.undistorted()
    image_from_flair = steps.rigid_registration(
        flair.undistorted(),
        true_image,
        settings=settings.registration,
        start=start_of_same_session(true_brain, true_image),
        fixed_brain=true_brain,
    )
    return inverse(image_from_flair)


def _without_bias(
    raw: PreparedSequence,
    brain: Image,
    flair: PreparedSequence,
    *,
    before: Prepared,
    settings: PreprocessingSettings,
    steps: Steps,
) -> PreparedSequence:
    if before.bias_corrected or not settings.bias_field.enabled:
        return raw
    own_brain = resample_through(
        brain,
        shape=raw.image.shape,
        affine=raw.image.affine,
        steps=(*raw.steps_to_true, raw.to_flair, *flair.steps_from_true),
        interpolation="nearest",
    )
    log_field = steps.find_bias_field(raw.image, own_brain, settings=settings.bias_field)
    return replace(raw, image=without_bias_field(raw.image, log_field), log_bias_field=log_field)
