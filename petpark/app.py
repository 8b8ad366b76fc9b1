"""What all commands share: global options, error messages, exit codes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast, override

import typer
from typer.exceptions import TyperException

from petpark.errors import ENVIRONMENT
from petpark.failures.failure import Failure, describe
from petpark.lazy_commands import LazyGroup
from petpark.output.console import Output
from petpark.output.streams import OutputNotWritten, unread

if TYPE_CHECKING:
    from petpark.targets.target import Target

TRACEBACK = "PETPARK_TRACEBACK"
"""If set, an unexpected error is shown with its traceback."""

_FLAGS = frozenset({"--json"})
_VALUED = frozenset({"--target", "--stack"})


class TargetKind(StrEnum):
    """What a command acts on: the keys of `petpark.targets.target.PROVIDERS`, which this module does not import."""

    AWS = "aws"
    REHEARSAL = "rehearsal"


type OpenTarget = Callable[[str, str], Target]
"""(kind of target, stack) -> the target itself."""


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """Values of the global options; commands read it from their context."""

    kind: TargetKind
    stack: str
    output: Output
    opener: OpenTarget

    def target(self, stack: str | None = None) -> Target:
        """Open the target, with the outputs of `stack` (of `--stack` when not given)."""
        return self.opener(self.kind, stack or self.stack)


class Commands(LazyGroup):
    """The root command: accepts global options anywhere, and turns errors into a message and an exit code."""

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, hoist(args))
        except TyperException as error:
            if "--json" in args:
                _usage(error, Output.open(json=True))
            raise

    @override
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TyperException as error:
            if isinstance(ctx.obj, Invocation) and ctx.obj.output.json:
                _usage(error, ctx.obj.output)
            raise
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if isinstance(error, BrokenPipeError) and unread():
                raise SystemExit(ENVIRONMENT) from None
            if isinstance(error, OutputNotWritten):
                raise  # `written_out` reports it if it can
            if os.environ.get(TRACEBACK):
                raise
            failure = describe(error) or _unknown(error)
            output = ctx.obj.output if isinstance(ctx.obj, Invocation) else Output.open(json=False)
            output.failure(failure)
            raise typer.Exit(failure.exit_code) from None


def group(help: str) -> typer.Typer:
    """A group of commands; without a command it shows its help."""
    return typer.Typer(help=help, no_args_is_help=True, rich_markup_mode="rich")


def example(*lines: str) -> str:
    """The example below a command's help."""
    return "[bold]Example[/bold]  " + "   ·   ".join(f"[cyan]{line}[/cyan]" for line in lines)


def invocation(ctx: typer.Context) -> Invocation:
    """The global options of this run."""
    found = ctx.find_object(Invocation)
    if found is None:
        raise LookupError("a command ran outside of the petpark program")
    return found


def begin(ctx: typer.Context, *, kind: TargetKind, stack: str, json: bool) -> None:
    """Called once, before any command: keep the global options. A test passes its own function to open targets."""
    given = cast("OpenTarget | None", ctx.obj)
    ctx.obj = Invocation(kind=kind, stack=stack, output=Output.open(json=json), opener=given or _open_target)


def _open_target(kind: str, stack: str) -> Target:
    from petpark.targets.target import open_target

    return open_target(kind, stack)


def hoist(args: Sequence[str]) -> list[str]:
    """Move the global options to the front, so that `petpark models list --json` says what it seems to say."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _FLAGS or (word.partition("=")[0] in _VALUED and "=" in word):
            front.append(word)
        elif word in _VALUED:
            front += [word, *(value for value in [next(words, None)] if value is not None)]
        else:
            rest.append(word)
    return front + rest


def _usage(error: TyperException, output: Output) -> None:
    """A program that requested JSON gets its usage error as JSON too."""
    output.failure(
        Failure(
            outcome="Usage",
            message=error.format_message(),
            next_step="See --help of the command.",
            exit_code=ENVIRONMENT,
        )
    )
    raise typer.Exit(ENVIRONMENT) from None


def _unknown(error: Exception) -> Failure:
    return Failure(
        outcome="Unexpected",
        message=f"{type(error).__name__}: {error}",
        next_step=f"This looks like a fault in petpark. {TRACEBACK}=1 shows where it comes from; please report it.",
        exit_code=ENVIRONMENT,
    )
