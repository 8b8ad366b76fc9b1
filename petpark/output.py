"""How a command speaks: tables for people, one JSON document for programs, progress only where someone watches."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from petpark.errors import Failure

type Cell = str | Text
type Report = Callable[[int, int], None]
"""Progress as (done, of how many)."""

_PIPE_WIDTH = 400
"""Columns when nobody looks: a line is never cut where another program reads it."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where a command's facts go: `out` for results, `err` for everything about the way there."""

    json: bool
    out: Console
    err: Console

    @classmethod
    def open(cls, *, json: bool) -> Output:
        """Consoles on the process's own streams."""
        out, err = Console(highlight=False), Console(stderr=True, highlight=False)
        if not out.is_terminal:
            out = Console(highlight=False, width=_PIPE_WIDTH)
        if not err.is_terminal:
            err = Console(stderr=True, highlight=False, width=_PIPE_WIDTH)
        return cls(json=json, out=out, err=err)

    @property
    def watched(self) -> bool:
        """Whether a person sees what happens on the way."""
        return self.err.is_terminal and not self.json

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, facts: object, empty: str) -> None:
        """Print `rows` for people, or `facts` for programs; `empty` is the sentence for no rows."""
        if self.json:
            self.document(facts)
        elif not rows:
            self.out.print(empty)
        else:
            self.out.print(_table(columns, rows, framed=self.out.is_terminal))

    def record(self, fields: Mapping[str, Cell], *, facts: object) -> None:
        """Print one thing, a line per field; `facts` for programs."""
        if self.json:
            self.document(facts)
            return
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim" if self.out.is_terminal else "", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in fields.items():
            grid.add_row(name, value if isinstance(value, Text) else Text(value))
        self.out.print(grid)

    def note(self, sentence: str) -> None:
        """Tell a person something on the way; programs and pipes are spared."""
        if self.watched:
            self.err.print(Text(sentence, style="dim"))

    def failure(self, failure: Failure) -> None:
        """Say what went wrong and what to do next: on stderr for people, as the one document for programs."""
        if self.json:
            self.document(failure.to_facts())
            return
        self.err.print(Text.assemble((f"{failure.outcome}: ", "bold red"), failure.message), soft_wrap=True)
        if failure.next_step:
            self.err.print(Text.assemble(("Next: ", "bold"), failure.next_step), soft_wrap=True)

    @contextlib.contextmanager
    def progress(self, what: str) -> Generator[Report]:
        """A bar on stderr while the block runs; nothing where nobody watches."""
        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.err,
            disable=not self.watched,
            transient=True,
        )
        with bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total or None)

    def document(self, facts: object) -> None:
        """Print `facts` as the one JSON document of this command."""
        self.out.file.write(json.dumps(facts, indent=2, ensure_ascii=False, default=_plain) + "\n")


def good(text: str) -> Text:
    """As it should be."""
    return Text(text, style="green")


def bad(text: str) -> Text:
    """Not as it should be."""
    return Text(text, style="bold red")


def short(digest: str) -> str:
    """A hash as people compare it: twelve digits, without the algorithm's name."""
    return digest.removeprefix("sha256:")[:12]


def percent(value: float) -> str:
    """A share with one decimal."""
    return f"{100 * value:.1f} %"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, framed: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD if framed else None, header_style="bold" if framed else "", pad_edge=framed)
    for column in columns:
        table.add_column(column, no_wrap=not framed, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return table


def _plain(value: Any) -> object:
    """What JSON does not know: mappings and sequences of other kinds, dates, paths."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | frozenset | set):
        return list(value)
    return str(value)
