"""Output of commands: tables for people, one JSON document for programs, progress only on a terminal or log."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Protocol, override

import typer
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from petpark.errors import ENVIRONMENT, ConfirmationNeeded, Failure
from petpark.table import Cell, fields, table


class Report(Protocol):
    """Hears how far something is."""

    def __call__(self, done: int, of: int, what: str = "", said: str = "") -> None:
        """`done` of how many, and of what, for a command with several stages; `said`: the same in words."""
        ...


_KILO = 1024
_INDENT = 2
_PIPE_WIDTH = 400
"""Columns without a terminal: a line is never cut where another program reads it."""


_CONTROL = {code: ascii(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
"""Control characters of terminals. They can be in names that others chose: of files, classes, cameras, keys."""


_JSON_CONTROL = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
"""The control characters that JSON does not escape."""


class SafeConsole(Console):
    """A console on which nothing that is printed can move the cursor, set colours or ring: it shows as an escape."""

    @override
    def on_broken_pipe(self) -> None:
        """End the process: nobody reads any more. 1 would be an answer, so it ends with `ENVIRONMENT`."""
        _discard(self.file)
        raise SystemExit(ENVIRONMENT)

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
    """Where a command's facts go: `out` for results, `err` for everything about the way there."""

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
        """Whether a person sees what happens on the way."""
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

    def say(self, sentence: str) -> None:
        """Print a sentence for people, below what it is about; programs have it among their facts."""
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
        """Ask for confirmation; raises `ConfirmationNeeded` where none would see the question or could answer it."""
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
        """A bar on stderr while the block runs; in a pipe a line a tenth, of each thing that is reported.

        Nothing of what is done at once, and nothing for programs.
        """
        if not self.watched:
            yield _Tenths(self.stage, what)
            return
        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.err,
            transient=True,
        )

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
            self.out.file.write(text.translate(_JSON_CONTROL) + "\n")
        except BrokenPipeError:
            self.out.on_broken_pipe()


@dataclass
class _Tenths:
    """Reports in lines, at most eleven for each thing, however many steps that has."""

    write: Callable[[str], None]
    what: str
    _last: tuple[str, int] | None = None

    def __call__(self, done: int, of: int, what: str = "", said: str = "") -> None:
        now = (what or self.what, 10 * done // of if of else 0)
        if now != self._last:
            self._last = now
            self.write(said or (f"{now[0]}: {done:,} of {of:,}" if of else f"{now[0]} …"))


class _Rate(ProgressColumn):
    """How many a second."""

    @override
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="progress.data.speed")


@contextlib.contextmanager
def written_out() -> Generator[None]:
    """Write out what the block prints. Ends the process with `ENVIRONMENT` where that cannot be done.

    Says why, except where nobody reads any more, as behind `| head`.
    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    try:
        try:
            yield
        finally:
            for stream in filter(None, (sys.stderr, sys.stdout)):  # None: closed from the beginning
                stream.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError):
                sys.stderr.write(f"OutputNotWritten: {error.strerror}.\n")
        for stream in filter(None, (sys.stderr, sys.stdout)):
            _discard(stream)
        raise SystemExit(ENVIRONMENT) from None


def unread() -> bool:
    """Whether nobody reads what is printed any more: a BrokenPipeError can also be of another connection."""
    poll = select.poll()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with contextlib.suppress(OSError, ValueError):
            poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _discard(stream: IO[str]) -> None:
    """Let what is left in the stream's buffer go nowhere: Python writes it out as it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def printable(text: str) -> str:
    """The text without what a terminal obeys: of a log, where escapes would only be in the way."""
    return "".join(letter for letter in text if letter.isprintable())


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


def size(count: float) -> str:
    """A number of bytes as people read it: `1.2 MiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < _KILO:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= _KILO
    return f"{count:.1f} TiB"


def moment(stored: str) -> str:
    """A stored time as people read it, to the second: `2026-08-02 10:15:30`, in UTC."""
    return stored.partition(".")[0].replace("T", " ").removesuffix("Z")


def plural(count: int, thing: str) -> str:
    """`1 blob`, `2 blobs`."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def _plain(value: Any) -> object:
    """What JSON does not know: mappings and sequences of other kinds, dates, paths."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | frozenset | set):
        return list(value)
    return str(value)
