"""`Output`: where a command prints its results, its progress and its errors."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, override

import typer
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from petpark.errors import ENVIRONMENT, ConfirmationNeeded
from petpark.failures.failure import Failure
from petpark.output.progress import ProgressLines, Report, bar_on
from petpark.output.streams import discard, naming_output_errors
from petpark.output.table import Cell, fields, table

_INDENT = 2
_PIPE_WIDTH = 400
"""Columns without a terminal: a line is never cut where another program reads it."""


_CONTROL = {code: ascii(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
"""Control characters of terminals. They can be in names that others chose: of files, classes, cameras, keys."""


_JSON_CONTROL = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
"""The control characters that JSON does not escape."""


class SafeConsole(Console):
    """A console that escapes terminal control characters."""

    @override
    def on_broken_pipe(self) -> None:
        """End the process with `ENVIRONMENT`: the reader has closed the pipe. Exit code 1 would mean a result."""
        discard(self.file)
        raise SystemExit(ENVIRONMENT)

    @override
    def print(self, *objects: Any, **how: Any) -> None:
        with naming_output_errors():
            super().print(*objects, **how)

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(segment.text.translate(_CONTROL), segment.style)


@dataclass(frozen=True)
class Columns:
    """A table without a frame, for one section among others."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


type Section = Mapping[str, Cell] | Columns


@dataclass(frozen=True, kw_only=True)
class Line:
    """One check and its result; `details` for a problem."""

    mark: Text
    what: str
    found: Cell
    details: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where a command prints: results to `out`, progress and errors to `err`."""

    json: bool
    out: Console
    err: Console

    @classmethod
    def open(cls, *, json: bool) -> Output:
        """Consoles on the process's own streams, which get an escape for what their encoding lacks."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        out, err = SafeConsole(highlight=False), SafeConsole(stderr=True, highlight=False)
        if not out.is_terminal:
            out = SafeConsole(highlight=False, width=_PIPE_WIDTH)
        if not err.is_terminal:
            err = SafeConsole(stderr=True, highlight=False, width=_PIPE_WIDTH)
        return cls(json=json, out=out, err=err)

    @property
    def watched(self) -> bool:
        """Whether progress is shown on a terminal."""
        return self.err.is_terminal and not self.json

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, facts: object, empty: str) -> None:
        """Print `rows` for people, or `facts` for programs; `empty` is the sentence for no rows."""
        if self.json:
            self.document(facts)
        elif not rows:
            self.out.print(empty)
        else:
            self._print(self._table(columns, rows, framed=self.out.is_terminal))

    def record(self, fields: Mapping[str, Cell], *, facts: object) -> None:
        """Print one thing, a line per field; `facts` for programs."""
        self.show(self._fields(fields), facts=facts)

    def sections(self, sections: Mapping[str, Section], *, facts: object) -> None:
        """Print the parts of one object, each below its heading, without empty ones."""
        fields = [section for section in sections.values() if not isinstance(section, Columns)]
        width = max((len(name) for section in fields for name in section), default=0)
        parts = [
            Group(Text(heading, style="bold"), self._section(section, width))
            for heading, section in sections.items()
            if (section.rows if isinstance(section, Columns) else section)
        ]
        self.show(*parts, facts=facts)

    def lines(self, lines: Sequence[Line], *, facts: object) -> None:
        """Print checks, a line each; people get the details of a line below it."""
        width = max((len(line.what) for line in lines), default=0)
        self.show(*(self._line(line, width) for line in lines), facts=facts, apart=False)

    def show(self, *parts: RenderableType, facts: object, apart: bool = True) -> None:
        """Print `parts` for people, with an empty line between them if they are to stand `apart`; `facts` otherwise."""
        if self.json:
            self.document(facts)
            return
        for number, part in enumerate(parts):
            if number and apart:
                self.out.print()
            self._print(part)

    def _print(self, part: RenderableType) -> None:
        # Never cropped: what is wider than the terminal is one thing, and is whole in what is copied.
        self.out.print(part, soft_wrap=isinstance(part, Text), crop=False)

    def _section(self, section: Section, names: int) -> RenderableType:
        if isinstance(section, Columns):
            return self._table(section.columns, section.rows, framed=False, indent=_INDENT)
        return self._fields(section, names=names, indent=_INDENT)

    def _table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, framed: bool, indent: int = 0
    ) -> RenderableType:
        width = self.out.width if self.out.is_terminal else None
        return table(columns, rows, framed=framed, width=width, indent=indent)

    def _fields(self, named: Mapping[str, Cell], *, names: int = 0, indent: int = 0) -> RenderableType:
        return fields(named, width=self.out.width, dim=self.out.is_terminal, names=names, indent=indent)

    def _line(self, line: Line, width: int) -> RenderableType:
        if not self.out.is_terminal:
            details = "; ".join(f"{name} {detail}" for name, detail in line.details.items())
            return Text.assemble(
                line.mark, " ", f"{line.what:<{width}}  ", line.found, f": {details}" if details else ""
            )
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, width=width + 1)
        grid.add_column(overflow="fold")
        grid.add_row(line.mark, line.what, line.found)
        return Group(grid, self._fields(line.details, indent=4), Text("")) if line.details else grid

    def message(self, sentence: str) -> None:
        """Print a sentence for people; programs get its facts as JSON."""
        if not self.json:
            self.out.print(Text(sentence), soft_wrap=True)

    def note(self, sentence: str) -> None:
        """Print progress on a terminal; nothing for programs and pipes."""
        if self.watched:
            self.err.print(Text(sentence, style="dim"))

    def failure(self, failure: Failure) -> None:
        """Print the error and the next step: to stderr, or as the JSON document."""
        if self.json:
            self.document(failure.to_facts())
            return
        self.err.print(Text.assemble((f"{failure.outcome}: ", "bold red"), failure.message), soft_wrap=True)
        if failure.next_step:
            self.err.print(Text.assemble(("Next: ", "bold"), failure.next_step), soft_wrap=True)

    def confirm(self, question: str) -> bool:
        """Ask for confirmation on the terminal; raises `ConfirmationNeeded` without one."""
        if not self.watched or not sys.stdin.isatty():
            raise ConfirmationNeeded(
                f"{question} There is no terminal to confirm on.", next_step="Confirm with an option: --yes"
            )
        return typer.confirm(question, err=True)

    def stage(self, sentence: str) -> None:
        """Show the progress of a long command: live on a terminal, as lines in a pipe or a log."""
        if not self.json:
            self.err.print(Text(sentence, style="dim" if self.watched else ""), soft_wrap=True)

    @contextlib.contextmanager
    def progress(self, what: str) -> Generator[Report]:
        """Show a bar on stderr while the block runs; in a pipe, a line per tenth of each reported stage.

        Prints nothing for programs.
        """
        if not self.watched:
            yield ProgressLines(self.stage, what)
            return
        bar = bar_on(self.err)

        def report(done: int, of: int, what: str = what, said: str = "") -> None:
            bar.update(task, completed=done, total=of or None, description=what)
            if said:
                self.note(said)

        with bar:
            task = bar.add_task(what, total=None)
            yield report

    def document(self, facts: object) -> None:
        """Print `facts` as the one JSON document of this command."""
        unicode = (getattr(self.out.file, "encoding", None) or "utf-8").lower().startswith("utf")
        text = json.dumps(facts, indent=2, ensure_ascii=not unicode, default=_plain)
        try:
            with naming_output_errors():
                self.out.file.write(text.translate(_JSON_CONTROL) + "\n")
        except BrokenPipeError:
            self.out.on_broken_pipe()


def _plain(value: Any) -> object:
    """Converts what JSON cannot encode: other mappings and sequences, dates, paths."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | frozenset | set):
        return list(value)
    return str(value)
