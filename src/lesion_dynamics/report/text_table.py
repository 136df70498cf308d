"""A small table for the terminal: words to the left, figures to the right."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lesion_dynamics.errors import printable


def text_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: Collection[int] = (0,)
) -> str:
    """Lines without a final line break.

    words : places of the columns that stand to the left; the others stand to the right.

    Cells come from files: line breaks and control characters in them are shown as escapes.
    """
    shown = [[printable(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[place]) for row in shown) for place in range(len(columns))]
    lines = []
    for row in shown:
        cells = [
            cell.ljust(width) if place in words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
