"""Columns of a table: how wide they are, and what they become where a terminal is too narrow. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qwen3cli.terminal.sanitise import sanitise_line
from qwen3cli.terminal.wrap import display_width, squeeze

GAP: Final = 4
"""Blanks between two columns."""
NARROW_GAP: Final = 2
"""The same where there is no room."""
LEAST_COLUMN: Final = 12
"""Columns of the terminal that are worth wrapping in."""


def measured(rows: Sequence[Sequence[str]], header: Sequence[str]) -> tuple[list[list[str]], list[int]]:
    """The lines of a table, sanitised, and how wide each column is."""
    lines = [[sanitise_line(cell) for cell in row] for row in ([header] if header else []) + list(rows)]
    return lines, [max(display_width(cell) for cell in column) for column in zip(*lines, strict=True)]


def squeeze_columns(
    lines: list[list[str]], widths: list[int], columns: Sequence[int], room: int, mark: str
) -> None:
    """Shorten the widest of `columns` until all widths have `room` together, or there is too little left of them."""
    while columns and sum(widths) > room:
        widest = max(columns, key=lambda column: widths[column])
        if widths[widest] <= LEAST_COLUMN:
            break
        widths[widest] -= 1
    for cells in lines:
        for column in columns:
            cells[column] = squeeze(cells[column], widths[column], mark)


def pad(cell: str, width: int, *, right: bool) -> str:
    """The cell filled up with blanks."""
    blank = " " * (width - display_width(cell))
    return blank + cell if right else cell + blank
