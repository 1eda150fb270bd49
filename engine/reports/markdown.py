"""Markdown tables that read well as plain text too."""

from collections.abc import Sequence

_TEXT_COLUMNS = 2


def markdown_table(rows: Sequence[Sequence[str]], text_columns: int = _TEXT_COLUMNS) -> list[str]:
    """Return the lines of a table whose first row is the heading, with columns of one width.

    The first ``text_columns`` columns are to the left, the others, of numbers, to the right.
    """
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    rule = ["-" * width if column < text_columns else f"{'-' * (width - 1)}:" for column, width in enumerate(widths)]
    return [f"| {' | '.join(_padded(row, widths, text_columns))} |" for row in [cells[0], rule, *cells[1:]]]


def _padded(row: Sequence[str], widths: Sequence[int], text_columns: int) -> list[str]:
    return [
        cell.ljust(width) if column < text_columns else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
