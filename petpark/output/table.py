"""How tables and fields fit a terminal: ids are never cut, so that they can be copied; other columns shrink."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

type Cell = str | Text

_ID = re.compile(r"(?=\S*\d)[\w.:/@+=-]{8,}")
"""A word that means nothing without its end: a job, a hash, an instance, a key, an ARN."""

_WORD = 8
"""Minimum width to which text other than an id may be folded."""

_GAP = 2


def table(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, framed: bool, width: int | None, indent: int = 0
) -> RenderableType:
    """Rows below a heading, within `width` columns of text (None: each row is one line).

    If the ids alone do not fit next to each other, each row is a block of lines.
    """
    texts = [[_text(cell) for cell in row] for row in rows]
    widths: list[int] | None = None
    if width is not None:
        widths = _widths(columns, texts, width - indent - _overhead(len(columns), framed=framed))
        if widths is None:
            named = _named(columns)
            blocks = [
                fields(dict(zip(named, row, strict=True)), width=width, dim=framed, indent=indent) for row in texts
            ]
            return Group(*(part for block in blocks for part in (block, Text(""))))
    made = Table(box=box.SIMPLE_HEAD if framed else None, header_style="bold" if framed else "", pad_edge=framed)
    for number, column in enumerate(columns):
        made.add_column(
            column, no_wrap=widths is None, overflow="fold", width=None if widths is None else widths[number]
        )
    for row in texts:
        made.add_row(*row)
    return Padding(made, (0, 0, 0, indent)) if indent else made


def fields(named: Mapping[str, Cell], *, width: int, dim: bool, names: int = 0, indent: int = 0) -> RenderableType:
    """One line per field, its name first; an id that does not fit next to its name gets its own line, never broken.

    `names` columns at least are for the names, so that several such blocks stand below each other.
    """
    names = max([names, *map(cell_len, named)])
    parts: list[RenderableType] = []
    grid: Table | None = None
    for name, cell in named.items():
        value, style = _text(cell), "dim" if dim else ""
        if _longest_id(value) <= width - indent - names - _GAP:
            if grid is None:
                grid = Table.grid(padding=(0, _GAP))
                grid.add_column(style=style, no_wrap=True, min_width=names)
                grid.add_column(overflow="fold")
                parts.append(Padding(grid, (0, 0, 0, indent)))
            grid.add_row(Text(name), value)
        else:
            grid = None
            if name:
                parts.append(NoWrap(Text(name, style=style), indent))
            parts.append(NoWrap(value, indent + _GAP if indent + _GAP + _longest_id(value) <= width else 0))
    return Group(*parts)


@dataclass(frozen=True)
class NoWrap:
    """A text that is one line, however long; a terminal that shows it in two still copies it as one."""

    text: Text
    indent: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See Rich's console protocol."""
        yield Segment(" " * self.indent)
        base = console.get_style(self.text.style) if self.text.style else Style.null()
        yield Segment(self.text.plain, base)
        yield Segment.line()


def _widths(columns: Sequence[str], rows: Sequence[Sequence[Text]], available: int) -> list[int] | None:
    """Columns of text for each column of the table; None if even the least does not fit."""
    cells = [[Text(name), *(row[number] for row in rows)] for number, name in enumerate(columns)]
    natural = [max(_lengths(cell.plain.split("\n")) for cell in column) for column in cells]
    least = [max(map(_least, column)) for column in cells]
    left = available - sum(least)
    if left < 0:
        return None
    wanted = sum(natural) - sum(least)
    if wanted <= left:
        return natural
    return [low + (high - low) * left // wanted for low, high in zip(least, natural, strict=True)]


def _least(cell: Text) -> int:
    others = (min(cell_len(word), _WORD) for word in cell.plain.split())
    return max([_longest_id(cell), *others, 1])


def _longest_id(cell: Text) -> int:
    return _lengths(word for word in cell.plain.split() if _ID.search(word))


def _lengths(words: Iterable[str]) -> int:
    return max(map(cell_len, words), default=0)


def _overhead(count: int, *, framed: bool) -> int:
    """What is between and around the texts: a space on each side, and with a frame its lines."""
    return 2 * count + count + 1 if framed else 2 * count - 2


def _named(columns: Sequence[str]) -> list[str]:
    """Names for fields: missing and repeated names are made unique with spaces."""
    found: list[str] = []
    for column in columns:
        while column in found:
            column += " "
        found.append(column)
    return found


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)
