"""What a person sees while the rehearsal runs: the running steps, and a line per finished step with its result."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from registry.identity import person

_REFRESHES_A_SECOND: Final = 4
_INDENT: Final = "  "
_NAME_WIDTH: Final = 40
_SECONDS_WIDTH: Final = 7
_MINUTE: Final = 60
_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_A_SECOND: Final = 8
_SILENCE_SECONDS: Final = 20.0
"""If nothing was printed for so long in a log, the running steps are printed."""


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One finished step: its name, duration in seconds, whether it succeeded, and its result in a few words.

    `by` is the ARN of the person who did it; empty if the rehearsal itself did it.
    """

    name: str
    seconds: float
    ok: bool
    detail: str = ""
    by: str = ""

    @property
    def outcome(self) -> str:
        """The result, and who did it."""
        return f"{person(self.by)}: {self.detail}" if self.by else self.detail


class Step:
    """A running step: `progress` and `stage` set its current activity, `done` its result."""

    def __init__(self, name: str, write: Callable[[str], None] = lambda _: None) -> None:
        self.name = name
        self.detail = ""
        self.by = ""
        self.now = ""
        """Its current activity."""
        self.started = time.monotonic()
        self._write = write

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.started

    def progress(self, text: str) -> None:
        """Replace the words behind the step's name on the screen."""
        self.now = text

    def stage(self, text: str) -> None:
        """As `progress`; in a log, also print a line."""
        self.progress(text)
        self._write(f"… {self.name}: {text}")

    def done(self, detail: str, *, by: str = "") -> None:
        """Set the step's result, in a few words, and the ARN of the person who did it; shown in its final line."""
        self.detail = detail
        self.by = by


class Steps:
    """The finished and the running steps, which may run in parallel, in several threads.

    A terminal shows a line for each running step, with its time and progress. Anything else, such as a log, gets a line
    when a step begins and ends, and lines for the running steps after `silence` seconds without one. `records` lists
    finished steps in the order in which they ended. A context manager: after its end nothing more is shown. `expected`
    is the expected duration of all steps in seconds; 0 if unknown.
    """

    def __init__(self, console: Console, *, expected: float = 0.0, silence: float = _SILENCE_SECONDS) -> None:
        self.records: list[StepRecord] = []
        self._expected = expected
        self._started = time.monotonic()
        self._console = console
        self._running: list[Step] = []
        self._lock = threading.Lock()
        self._silence = silence
        self._printed = threading.Event()
        self._over = threading.Event()
        self._live = Live(
            console=console,
            get_renderable=self._shown,
            transient=True,
            refresh_per_second=_REFRESHES_A_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        else:
            threading.Thread(target=self._break_silence, name="steps", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._printed.set()
        if self._console.is_terminal:
            self._live.stop()

    @property
    def failed(self) -> bool:
        """Whether a step has failed."""
        return any(not record.ok for record in self.records)

    @contextlib.contextmanager
    def step(self, name: str) -> Generator[Step]:
        """Run the block as step `name`; an exception marks it failed and passes through."""
        step = Step(name, write=self._write)
        self._write(f"… {name}")
        with self._lock:
            self._running.append(step)
        try:
            yield step
        except BaseException:
            self._finish(step, ok=False)
            raise
        self._finish(step, ok=True)

    def _finish(self, step: Step, *, ok: bool) -> None:
        record = StepRecord(name=step.name, seconds=step.seconds, ok=ok, detail=step.detail, by=step.by)
        with self._lock:
            self._running.remove(step)
            self.records.append(record)
        if self._over.is_set():  # a parallel step that ends after another one failed is not shown
            return
        if self._console.is_terminal:
            self._console.print(row(record))
        else:
            self._console.print(line(record), soft_wrap=True)
        self._printed.set()

    def _write(self, text: str) -> None:
        """Print a line in a log; a terminal shows running steps anyway."""
        if not self._console.is_terminal:
            self._console.print(text, soft_wrap=True, highlight=False, markup=False)
            self._printed.set()

    def _shown(self) -> Group:
        with self._lock:
            lines = [under_way(step, self._console.width) for step in self._running]
        if self._expected:
            lines.append(Text(time_left(time.monotonic() - self._started, self._expected), style="dim"))
        return Group(*lines)

    def _break_silence(self) -> None:
        while not self._over.is_set():
            self._printed.clear()
            if not self._printed.wait(self._silence) and not self._over.is_set():
                with self._lock:
                    lines = [f"… {step.name} ({step.seconds:.0f} s) {step.now}".rstrip() for step in self._running]
                if lines and self._expected:
                    lines.append(f"… {time_left(time.monotonic() - self._started, self._expected)}")
                for each in lines:
                    self._write(each)


def time_left(passed: float, expected: float) -> str:
    """Returns the elapsed and the expected time of all steps."""
    if passed > expected:
        return f"{duration(passed)}; expected {duration(expected)} on two idle cores"
    return f"{duration(passed)} of about {duration(expected)}"


def duration(seconds: float) -> str:
    """Seconds in words, such as 1 min 38 s."""
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def line(record: StepRecord) -> Text:
    """A finished step in one line."""
    mark = Text("✓ ", style="green") if record.ok else Text("✗ ", style="red")
    return Text.assemble(
        mark, f"{record.name:<34}", (f"{record.seconds:>7.1f} s", "cyan"), "  ", (record.outcome, "dim")
    )


def row(record: StepRecord) -> Table:
    """A finished step on a terminal; a long result is wrapped within its column."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=_NAME_WIDTH)
    table.add_column(justify="right", style="cyan", width=_SECONDS_WIDTH)
    table.add_column(style="dim", overflow="fold")
    mark = Text("✓ ", style="green") if record.ok else Text("✗ ", style="red")
    table.add_row(mark + Text(record.name), f"{record.seconds:.1f} s", record.outcome)
    return table


def under_way(step: Step, width: int) -> Text:
    """A running step, in lines of at most `width` characters; progress gets a second line if one is too short."""
    mark = (f"{_FRAMES[int(time.monotonic() * _FRAMES_A_SECOND) % len(_FRAMES)]} ", "green")
    text = Text.assemble(mark, f"{step.name}  ", (f"{step.seconds:.0f} s", "cyan"))
    now = Text(f"  {step.now}" if step.now else "", style="dim")
    apart = text.cell_len + now.cell_len > width
    text.truncate(width, overflow="ellipsis")
    now.truncate(width - (len(_INDENT) if apart else 0), overflow="ellipsis")
    return Text("\n" + _INDENT if apart else "").join([text, now])
