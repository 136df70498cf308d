"""A small table for the terminal: columns aligned, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence

from lesion_dynamics.errors import printable


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines without a final line break; the first column to the left, the others to the right.

    Cells come from files: line breaks and control characters in them are shown as escapes.
    """
    shown = [[printable(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[place]) for row in shown) for place in range(len(columns))]
    lines = []
    for row in shown:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
