"""Make the tables that R and lesion-dynamics are both given: python tests/reference/make_tables.py.

Same seed, same bytes. ``changes_*.tsv``: one change a participant, two diagnoses.
``volumes_*.tsv``: repeated transformed volumes. ``counts_*.tsv``: new lesions over some years.
"""

from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent / "tables"
SEED = 20_250_433


def changes(rng: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """MS and NMOSD changes of each table."""
    skew_ms, skew_nmosd = rng.lognormal(5, 1.2, 31) - 60, rng.lognormal(3, 1.5, 30) - 25
    zeros = np.where(rng.random(30) < 0.4, 0.0, rng.normal(20, 60, 30))
    return {
        "plain": (rng.normal(150, 200, 31).round(3), rng.normal(20, 90, 30).round(3)),
        "small": (rng.normal(100, 80, 7).round(3), rng.normal(0, 80, 5).round(3)),
        "skew": (skew_ms.round(3), skew_nmosd.round(3)),
        "zeros": (rng.normal(150, 200, 31).round(3), zeros.round(3)),
        "ties": (rng.integers(-3, 9, 25).astype(float), rng.integers(-3, 4, 22).astype(float)),
        "zeros_ties_skew": (
            (np.maximum(skew_ms, 0) // 50 * 50).round(3),
            (np.maximum(skew_nmosd, 0) // 20 * 20).round(3),
        ),
    }


def volumes(rng: np.random.Generator, *, n: int, slope_spread: float, noise: float) -> pd.DataFrame:
    """Cube roots of volumes, two to five sessions a participant."""
    rows = []
    for i in range(n):
        diagnosis = "MS" if i < n * 31 // 61 else "NMOSD"
        age, sex = round(rng.normal(42, 11), 1), rng.choice(["F", "M"], p=[0.75, 0.25])
        start = rng.normal(15 if diagnosis == "MS" else 9, 3)
        slope = rng.normal(0.3 if diagnosis == "MS" else 0.05, slope_spread)
        sessions = int(rng.integers(2, 6))
        years = np.concatenate([[0.0], np.cumsum(rng.uniform(0.5, 1.8, sessions - 1))])
        for year in years:
            volume = start + slope * year + 0.02 * (age - 42) + rng.normal(0, noise)
            rows.append((f"sub-{i:03d}", diagnosis, age, sex, round(year, 3), round(volume, 6)))
    names = ["participant_id", "diagnosis", "age", "sex", "years", "volume"]
    return pd.DataFrame(rows, columns=names)


def counts(rng: np.random.Generator, *, n: int, size: float) -> pd.DataFrame:
    """New lesions, overdispersed, with a log-linear rate in age and diagnosis."""
    nmosd = np.arange(n) >= n // 2
    years, age = rng.uniform(1, 6, n).round(2), rng.normal(42, 11, n).round(1)
    mean = years * np.exp(0.4 - 1.2 * nmosd - 0.01 * (age - 42))
    new = rng.negative_binomial(size, size / (size + mean))
    diagnosis = np.where(nmosd, "NMOSD", "MS")
    return pd.DataFrame({"diagnosis": diagnosis, "age": age, "years": years, "new": new})


def main() -> None:
    """Write every table."""
    rng = np.random.default_rng(SEED)
    FOLDER.mkdir(exist_ok=True)
    tables = {}
    for name, (ms, nmosd) in changes(rng).items():
        diagnosis = ["MS"] * ms.size + ["NMOSD"] * nmosd.size
        values = np.concatenate([ms, nmosd])
        tables[f"changes_{name}"] = pd.DataFrame({"diagnosis": diagnosis, "change": values})
    tables["volumes_study"] = volumes(rng, n=61, slope_spread=0.25, noise=0.3)
    tables["volumes_noisy"] = volumes(rng, n=61, slope_spread=0.1, noise=1.0)
    tables["volumes_small"] = volumes(rng, n=16, slope_spread=0.3, noise=0.3)
    tables["counts_study"] = counts(rng, n=61, size=1.2)
    tables["counts_mild"] = counts(rng, n=120, size=6.0)
    for name, table in tables.items():
        table.to_csv(FOLDER / f"{name}.tsv", sep="\t", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
