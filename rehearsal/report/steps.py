"""What a person sees while the rehearsal runs: one line a step, with what came of it and how long it took."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from rich.console import Console
from rich.status import Status
from rich.text import Text

from registry.identity import person


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One finished step: its name, the seconds it took, whether it succeeded, and what came of it in a few words.

    `by` is the ARN of the person who did it; empty for what the rehearsal itself did.
    """

    name: str
    seconds: float
    ok: bool
    detail: str = ""
    by: str = ""

    @property
    def outcome(self) -> str:
        """What came of it, and by whom."""
        return f"{person(self.by)}: {self.detail}" if self.by else self.detail


class Step:
    """A step under way: `progress` and `stage` say what it does just now, `done` what came of it."""

    def __init__(
        self, name: str, show: Callable[[str], None] | None = None, write: Callable[[str], None] | None = None
    ) -> None:
        self.name = name
        self.detail = ""
        self.by = ""
        self._show = show or (lambda _: None)
        self._write = write or (lambda _: None)

    def progress(self, text: str) -> None:
        """Replace the words behind the step's name on the screen."""
        self._show(f"{self.name}  [dim]{text}[/dim]")

    def stage(self, text: str) -> None:
        """As `progress`; where there is no screen, a line of its own."""
        self.progress(text)
        self._write(f"… {self.name}: {text}")

    def done(self, detail: str, *, by: str = "") -> None:
        """What came of the step, in a few words, and the ARN of the person who did it; shown in its final line."""
        self.detail = detail
        self.by = by


class Steps:
    """The steps so far; prints a spinner on a terminal, plain lines anywhere else.

    `records` lists finished steps in the order in which they ended. Steps that run beside others (`beside`) have no
    spinner; their line appears when they end.
    """

    def __init__(self, console: Console) -> None:
        self.records: list[StepRecord] = []
        self._console = console
        self._lock = threading.Lock()
        self._status: Status | None = None

    @property
    def failed(self) -> bool:
        """Whether a step has failed."""
        return any(not record.ok for record in self.records)

    @contextlib.contextmanager
    def step(self, name: str) -> Generator[Step]:
        """Run the block as step `name`; an exception marks it failed and passes through."""
        status = self._console.status(name) if self._console.is_terminal else None
        step = Step(name, show=status.update) if status else Step(name, write=self._console.print)
        if status is None:
            self._console.print(f"… {name}")
        else:
            status.start()
        self._status = status
        try:
            with self.background(name, step=step):
                yield step
        finally:
            self._status = None
            if status is not None:
                status.stop()

    @contextlib.contextmanager
    def background(self, name: str, step: Step | None = None) -> Generator[Step]:
        """As `step`, for work that runs beside the step that has the spinner."""
        step = step or Step(name)
        started = time.monotonic()
        try:
            yield step
        except BaseException:
            self._finish(step, time.monotonic() - started, ok=False)
            raise
        self._finish(step, time.monotonic() - started, ok=True)

    def _finish(self, step: Step, seconds: float, *, ok: bool) -> None:
        record = StepRecord(name=step.name, seconds=seconds, ok=ok, detail=step.detail, by=step.by)
        with self._lock:
            self.records.append(record)
        mark = Text("✓ ", style="green") if record.ok else Text("✗ ", style="red")
        line = Text.assemble(
            mark, f"{record.name:<34}", (f"{record.seconds:>7.1f} s", "cyan"), "  ", (record.outcome, "dim")
        )
        self._console.print(line, soft_wrap=True)
