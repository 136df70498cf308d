"""Tables ready for a paper: CSV, Markdown, LaTeX and Word of the same text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lesion_dynamics.atomic_files import write_bytes, write_text
from lesion_dynamics.longitudinal.study import SENSITIVITY
from lesion_dynamics.report.study_table import number_text, p_text
from lesion_dynamics.report.word_table import docx_of

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
RESULT_COLUMNS = (
    "model version", "diagnosis", "quantity", "statistic", "estimate", "interval", "p", "Holm p",
    "n",
)  # fmt: skip


def write_paper_tables(folder: Path, tables: dict[str, pd.DataFrame]) -> dict[str, Path]:
    """Write each table of text as ``name.csv``, ``.md``, ``.tex`` and ``.docx`` into ``folder``."""
    files = {}
    for name, table in tables.items():
        for kind, write in (("csv", csv_of), ("md", markdown_of), ("tex", latex_of)):
            path = folder / f"{name}.{kind}"
            write_text(path, write(table))
            files[path.name] = path
        path = folder / f"{name}.docx"
        write_bytes(path, docx_of(table))
        files[path.name] = path
    return files


def results_table(statistics: pd.DataFrame) -> pd.DataFrame:
    """Main rows of `STATISTICS_COLUMNS` as text, the way they are printed in a paper."""
    main = statistics[(statistics["role"] != SENSITIVITY) & (statistics["statistic"] != "count")]
    records = [
        (
            row["model_version"], row["diagnosis"], row["quantity"], row["statistic"],
            _with_unit(row["estimate"], row["unit"]), _interval(row), _p(row["p_value"]),
            _p(row["p_value_holm"]), str(int(row["n"])),
        )
        for _, row in main.iterrows()
    ]  # fmt: skip
    return pd.DataFrame.from_records(records, columns=list(RESULT_COLUMNS))


def _with_unit(value: float, unit: str) -> str:
    text = number_text(float(value), unit=unit)
    return text if unit == "" or not np.isfinite(value) else f"{text} {unit}"


def _interval(row: pd.Series) -> str:
    low, high = float(row["interval_low"]), float(row["interval_high"])
    if not np.isfinite([low, high]).all():
        return ""
    ends = f"{number_text(low, unit=row['unit'])} to {number_text(high, unit=row['unit'])}"
    return f"{ends} ({row['interval_level']:.0%})"


def _p(value: float) -> str:
    return "" if np.isnan(value) else p_text(float(value))


def csv_of(table: pd.DataFrame) -> str:
    """Comma-separated, UTF-8."""
    return table.to_csv(index=False, lineterminator="\n")


def markdown_of(table: pd.DataFrame) -> str:
    """A pipe table; pipes in the text are escaped."""
    lines = [list(table.columns), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    cells = [[str(cell).replace("|", r"\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def latex_of(table: pd.DataFrame) -> str:
    """A tabular with booktabs rules; every special character is escaped."""
    head = " & ".join(_escaped(str(name)) for name in table.columns)
    body = "".join(
        " & ".join(_escaped(str(cell)) for cell in row) + r" \\" + "\n"
        for row in table.to_numpy().tolist()
    )
    columns = "l" * table.shape[1]
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head} \\\\\n\\midrule\n{body}"
        "\\bottomrule\n\\end{tabular}\n"
    )


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
