"""A small head and the settings of the shipped configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import ndimage

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing import sessions
from lesion_dynamics.settings.preprocessing import PreprocessingSettings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def settings() -> PreprocessingSettings:
    """As conf/segmenter/dynunet.yaml has them."""
    composed = yaml.safe_load((ROOT / "conf/segmenter/dynunet.yaml").read_text(encoding="utf-8"))
    return PreprocessingSettings.model_validate(composed["preprocessing"])


@pytest.fixture(scope="session")
def brain() -> Image:
    """The MNI152 brain at 3 mm, skull-stripped, with its texture: background 0."""
    from nilearn.datasets import load_mni152_template

    template = load_mni152_template(resolution=3)
    voxels = np.asarray(template.dataobj, dtype=np.float32) * 1000
    voxels[voxels < 50] = 0.0  # the template fades out far beyond the brain
    return Image(voxels=voxels, affine=np.asarray(template.affine, dtype=np.float64))


@pytest.fixture(scope="session")
def white_matter(brain: Image) -> np.ndarray:
    """Share of white matter in every voxel of `brain`."""
    from nilearn.datasets import load_mni152_wm_template

    return np.asarray(load_mni152_wm_template(resolution=3).dataobj, dtype=np.float32)


@pytest.fixture(scope="session")
def flair(brain: Image, white_matter: np.ndarray) -> Image:
    """A FLAIR of the same brain: fluid dark, grey matter brighter than white matter, noise."""
    from nilearn.datasets import load_mni152_gm_template

    grey_matter = np.asarray(load_mni152_gm_template(resolution=3).dataobj, dtype=np.float32)
    noise = np.random.default_rng(5).normal(0, 12, brain.shape)
    voxels = 60 + 240 * white_matter + 320 * grey_matter + noise
    return brain.with_voxels(np.where(brain.voxels > 0, voxels, 0).astype(np.float32))


@pytest.fixture(scope="session")
def tissue(brain: Image) -> np.ndarray:
    """Voxels well inside the brain."""
    inside: np.ndarray = ndimage.binary_erosion(brain.voxels > 0, iterations=2)
    return inside


@pytest.fixture(scope="module")
def no_drift() -> Iterator[None]:
    """Leave out the affine step between sessions, which takes most of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sessions, "residual_maps", lambda images, *_, **__: [np.zeros((4, 4)) for _ in images]
        )
        yield
