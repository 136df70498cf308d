"""The code of docs/extending.md, run word for word."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tests.cohort.cohort_files import write_nifti
from tests.conftest import ROOT, composed
from tests.docs.documents import blocks

from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import CohortError
from lesion_dynamics.importers.manifest_folder import write_manifest_folder
from lesion_dynamics.segmenter.networks import LesionNetwork
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.strict import validated

BLOCKS = blocks(ROOT / "docs" / "extending.md", "python")


def module_with(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The block that defines ``name``, as a module."""
    (code,) = [block for block in BLOCKS if f"def {name}(" in block]
    module = ModuleType(f"shown_{name}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, "docs/extending.md", "exec"), module.__dict__)
    return module


def test_there_are_four_examples() -> None:
    assert len(BLOCKS) == 4


def test_the_network_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = module_with("plain", monkeypatch)
    torch.manual_seed(0)
    settings = shown.PlainSettings(channels=4, head_channels=3)
    network = LesionNetwork(
        shown.plain(settings, 2), head_channels=settings.head_channels, divisor=settings.divisor
    )
    network.start_at_lesion_prevalence(0.01)
    inputs, reference = torch.randn(1, 2, 9, 10, 11), torch.zeros(1, 1, 9, 10, 11)
    reference[..., 2:5, 2:5, 2:5] = 1
    inputs[:, 0][reference[:, 0] > 0] += 4
    optimiser = torch.optim.Adam(network.parameters(), lr=0.03)
    losses = []
    for _ in range(30):
        logits = network(inputs)
        assert logits.shape == reference.shape
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, reference)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 4
    with pytest.raises(ValueError, match="channels"):
        shown.PlainSettings(channels=0, head_channels=3)


def test_the_loss_is_its_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = module_with("log_cosh_dice", monkeypatch).log_cosh_dice
    reference = torch.zeros(1, 1, 4, 4, 4)
    reference[..., :2] = 1  # 32 of 64 voxels
    assert float(loss(100 * (2 * reference - 1), reference)) == pytest.approx(0, abs=1e-6)
    # All probabilities one half: Dice = (2 * 16 + 1) / (32 + 32 + 1).
    expected = np.log(np.cosh(1 - 33 / 65))
    assert float(loss(torch.zeros_like(reference), reference)) == pytest.approx(expected, rel=1e-5)


def test_the_statistic_is_that_of_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    superiority = module_with("superiority", monkeypatch).superiority
    first, second = np.array([1.0, 2, 4, 9, 7]), np.array([0.0, 2, 1, 3])
    found = superiority(first, second)
    # 20 pairs: 15 higher, 2 equal.
    assert found.estimate == pytest.approx((15 + 2 / 2) / 20)
    assert found.p_value == pytest.approx(stats.brunnermunzel(first, second).pvalue)
    assert (found.n, found.note) == (9, "")
    assert "at least 3" in superiority(first, second[:2]).note
    apart = superiority(first + 100, second)
    assert (apart.estimate, apart.note.partition(":")[0]) == (1.0, "the diagnoses do not overlap")
    assert np.isnan(apart.p_value)


def test_the_importer_gives_a_cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = module_with("read", monkeypatch)
    for number in (1, 2):
        for visit in ("baseline", "year1")[: 3 - number]:
            voxels = np.random.default_rng(number).integers(1, 200, (10, 12, 10))
            path = tmp_path / "upstream" / f"person{number}" / f"{visit}_FLAIR.nii.gz"
            write_nifti(path, voxels.astype(np.float32), affine=np.diag([18.0, 18, 18, 1]))
    imported = shown.read(tmp_path / "upstream")
    folder = tmp_path / "cohort"
    write_manifest_folder(imported, folder, upstream=tmp_path / "upstream")
    values = composed(
        "infer", "cohort=manifest", f"cohort.root={folder}", "model_version=lesion-baseline/1"
    )
    cohort = read_cohort(validated(InferSettings, values).cohort)
    assert [scan.session_id for scan in cohort.scans] == ["ses-01", "ses-02", "ses-01"]
    assert cohort.tables.sessions["days_from_baseline"].tolist() == [0.0, 365.0, 0.0]
    with pytest.raises(CohortError, match="Two visits"):
        shown.read(tmp_path)
