"""Tables as TSV whose bytes depend on nothing but their values."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lesion_dynamics.atomic_files import write_text

SIGNIFICANT_DIGITS = 10
"""Enough for every p-value and volume; the digits that differ between processors lie beyond."""


def tsv_of(table: pd.DataFrame) -> str:
    """``table`` as tab-separated text, missing values as ``n/a``."""
    return table.to_csv(
        sep="\t",
        index=False,
        na_rep="n/a",
        float_format=f"%.{SIGNIFICANT_DIGITS}g",
        lineterminator="\n",
    )


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write ``table`` to ``path`` as TSV, atomically."""
    write_text(path, tsv_of(table))
