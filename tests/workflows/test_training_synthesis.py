"""Training from drawn scans: what is planned, refused and handed to the loader."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Workplace

from lesion_dynamics.errors import CohortError, ConfigurationError
from lesion_dynamics.workflows.training_heads import draw_heads, synthetic_source
from lesion_dynamics.workflows.training_plan import plan_training

DRAWN = ("segmenter.spacing_mm=1", "patch.size_voxels=16", "synthesis.heads=1")


def test_scans_that_cannot_be_drawn_are_refused_before_anything_is_done(
    workplace: Workplace,
) -> None:
    with pytest.raises(ConfigurationError, match="spacing_mm"):
        plan_training(workplace.training("synthesis.share=0.5"))


def test_with_drawn_scans_alone_every_labelled_participant_validates(
    workplace: Workplace,
) -> None:
    mixed = plan_training(workplace.training(*DRAWN, "synthesis.share=0.5"))
    alone = plan_training(workplace.training(*DRAWN, "synthesis.share=1"))
    assert mixed.split.training
    assert alone.split.training == ()
    everyone = {*mixed.split.training, *mixed.split.validation}
    assert set(alone.split.validation) == everyone


def test_every_knob_of_the_synthesis_names_another_training(
    workplace: Workplace, tmp_path: Path
) -> None:
    shapes = tmp_path / "shapes"
    reference = next(workplace.data.rglob("*_label-L_mask.nii.gz"))
    for name in ("patient01", "patient02"):
        folder = shapes / "cross_sectional" / "MNI" / name
        folder.mkdir(parents=True)
        shutil.copyfile(reference, folder / "GOLD_STANDARD.nii.gz")
    with_shapes = (*DRAWN, "synthesis.share=0.5", f"synthesis.shapes={shapes}")
    choices = [
        ("synthesis.share=0",),
        (*DRAWN, "synthesis.share=0.5"),
        (*DRAWN, "synthesis.share=0.6"),
        (*DRAWN, "synthesis.share=0.5", "synthesis.heads=2"),
        (*DRAWN, "synthesis.share=0.5", "synthesis.head.brainstem=true"),
        (*DRAWN, "synthesis.share=0.5", "synthesis.head.infratentorial_lesions=0.1"),
        (*DRAWN, "synthesis.share=0.5", "synthesis.head.even_lesions=0.1"),
        with_shapes,
        (*with_shapes, "synthesis.left_out=[patient01]"),
    ]
    keys = [plan_training(workplace.training(*choice)).key for choice in choices]
    assert len(set(keys)) == len(keys)
    none_left = workplace.training(*with_shapes, "synthesis.left_out=[patient01,patient02]")
    with pytest.raises(CohortError, match="no lesion mask"):
        plan_training(none_left)


def test_without_synthesis_its_other_knobs_name_the_same_training(workplace: Workplace) -> None:
    plain = plan_training(workplace.training())
    other = plan_training(workplace.training("synthesis.heads=5"))
    assert plain.key == other.key


@pytest.mark.slow
def test_drawn_heads_are_kept_and_become_patches_of_the_network_s_sequences(
    workplace: Workplace,
) -> None:
    settings = workplace.training(*DRAWN, "synthesis.share=1")
    plan = plan_training(settings)
    (head,) = draw_heads(plan, settings)
    written = head.stat().st_mtime_ns
    assert draw_heads(plan, settings) == (head,)
    assert head.stat().st_mtime_ns == written
    channels, reference = synthetic_source((head,), (), settings).patch(0, np.random.default_rng(1))
    assert channels.shape == (len(settings.segmenter.sequences), 16, 16, 16)
    assert reference.shape == (1, 16, 16, 16)
    assert float(channels.std()) > 0.1
    assert draw_heads(plan, workplace.training("synthesis.share=0")) == ()
