from pathlib import Path

import pandas as pd
import pytest
from tests.workflows.analysis_cohort import settings, tsv

from lesion_dynamics.workflows import analysis


@pytest.mark.parametrize(
    "changed",
    [
        {"study__washout_days": 500},
        {"study__zero_method": "wilcox"},
        {"study__interval_level": 0.8},
        {"study__bootstrap_draws": 150},
        {"study__seed": 3},
        {"study__published": None},
        {"study__name": "another"},
        {"study__models__transform": "log1p"},
        {"study__models__covariates": []},
        {"study__models__bootstrap_draws": 20},
        {"study__models__permutations": 100},
        {"study__models__quantiles": [0.4]},
        {"study__families": []},
        {"study__robustness__washout_days": [7]},
        {"study__robustness__attack_intervals": False},
        {"study__robustness__same_scanner": False},
        {"study__robustness__two_point_against_slope": False},
        {"study__robustness__brain_volume_normalised": False},
        {"study__robustness__leave_one_out": False},
        {"study__robustness__extremes_left_out": 0.2},
        {"study__robustness__operating_points": False},
        {"study__measurement_error__correction": "none"},
        {"study__measurement_error__correction": "simex"},
        {"study__measurement_error__bootstrap_draws": 120},
        {"study__measurement_error__power": 0.9},
        {"study__measurement_error__figures": [{"diagnosis": "MS", "noise_mm3": 50}]},
        {"cohort__truth": None},
        {"cohort__name": "another"},
    ],
)
def test_every_knob_changes_the_result(study, changed):
    # Before everyone's first scan, so that a longer washout reaches the first interval.
    attacks = pd.DataFrame(
        {"participant_id": ["sub-ms1"], "attack_id": ["a1"], "days_from_baseline": [-200]}
    )
    tsv(study / "data" / "phenotype" / "attacks.tsv", attacks)
    assert output_of(study, changed) != plain_output(study)


PLAIN: list[tuple[str, ...]] = []


def plain_output(study: Path) -> tuple[str, ...]:
    """The output without any change: the same for every knob, so computed once."""
    if not PLAIN:
        PLAIN.append(output_of(study, {}))
    return PLAIN[0]


def output_of(study: Path, changed: dict[str, object]) -> tuple[str, ...]:
    # One model version and the truth: half of the work of two.
    one_version = str(study / "derivatives" / "segmenter-v1")
    chosen = settings(study, measurements=one_version, **{"study__bootstrap_draws": 100, **changed})
    result = analysis.analyse(analysis.read_inputs(chosen), chosen)
    tables = (
        result.statistics, result.comparison, result.robustness, result.measurement_error,
        result.version_differences,
    )  # fmt: skip
    return (*(table.to_csv() for table in tables), result.text)


def test_the_same_settings_give_the_same_output(study):
    attacks = pd.DataFrame(
        {"participant_id": ["sub-ms1"], "attack_id": ["a1"], "days_from_baseline": [-200]}
    )
    tsv(study / "data" / "phenotype" / "attacks.tsv", attacks)
    assert output_of(study, {}) == plain_output(study)
