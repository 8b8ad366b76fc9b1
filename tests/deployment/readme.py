"""The commands in a page, and whether each could run; none is executed."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import botocore.session
import typer
from botocore import xform_name
from typer.exceptions import TyperException
from typer.main import get_command

from petpark.__main__ import app
from petpark.app import hoist
from tests.pulumi_stand_in import REPOSITORY
from tests.pulumi_stand_in.options import parse

_BLOCK = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*")
_BETWEEN: Final = {"&&", "||", "|", ";"}
_ELLIPSES: Final = ("…", "...")
_PREFIXES: Final = {"sudo", "nohup", "time"}


class CommandRefused(Exception):
    """A command that could not run as written; the message has the reason."""


def commands(page: str) -> Iterator[list[str]]:
    """The words of each command in the page's shell blocks, and of each that stands in a line of text."""
    for block in _BLOCK.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            yield from _split(line.removeprefix("$ "))
    for span in _SPAN.findall(_BLOCK.sub("", page)):
        if span.split()[0] in ("petpark", "pulumi", "make", "uv") and len(span.split()) > 1:
            yield from _split(span)


def check(words: list[str]) -> None:
    """Raises `CommandRefused` for a command that is unknown, or that would not take these words."""
    program, *rest = words
    kind = KINDS.get(Path(program).name)
    if kind is None:
        raise CommandRefused(f"{program}: a kind of command that readme.py does not know how to check")
    kind(rest)


def _split(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _BETWEEN:
            command.append(word)
            continue
        while command and (_SETTING.fullmatch(command[0]) or command[0] in _PREFIXES):
            command.pop(0)
        if command:
            yield _without_redirections(command)
        command = []


def _without_redirections(command: list[str]) -> list[str]:
    kept: list[str] = []
    words = iter(command)
    for word in words:
        if word in ("<", ">", ">>", ">&"):
            next(words, None)
        elif word != "&":
            kept.append(word)
    return kept


# --- one for each kind ----------------------------------------------------------------------------------------------


def _make(words: list[str]) -> None:
    """`make -n`: the target and its prerequisites exist."""
    done = subprocess.run(["make", "-n", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandRefused(done.stderr.strip())


def _petpark(words: list[str]) -> None:
    """Parsed by the program itself, down to the command; nothing is called. `…` at the end stands for what is left."""
    unfinished = words[-1] in (*_ELLIPSES, "--help")
    try:
        _parse(get_command(app), hoist(words[:-1] if unfinished else words), unfinished=unfinished)
    except TyperException as error:
        raise CommandRefused(f"petpark: {error.format_message()}") from error
    except typer.Exit as error:
        raise CommandRefused("petpark: shows its help instead") from error


def _parse(root: Any, words: list[str], *, unfinished: bool) -> None:
    name, command, context = "petpark", root, None
    while command is not None:
        context = command.make_context(name, list(words), parent=context, resilient_parsing=unfinished)
        words = [*context._protected_args, *context.args]
        if not hasattr(command, "resolve_command") or (not words and (unfinished or command.invoke_without_command)):
            return
        name, command, words = command.resolve_command(context, words)


def _pulumi(words: list[str]) -> None:
    try:
        parse([word for word in words if word not in _ELLIPSES])
    except Exception as error:
        raise CommandRefused(f"pulumi: {error}") from error


def _uv(words: list[str]) -> None:
    """Its own parser: with `--help` it says nothing of wrong options, so the words are given a folder of nothing."""
    if words[:1] not in (["sync"], ["run"]):
        raise CommandRefused(f"uv {' '.join(words)}: readme.py checks `uv sync` and `uv run` alone")
    uv = REPOSITORY / ".tools" / "bin" / "uv"
    nowhere = ["--offline", "--no-config", "--project", "/nonexistent"]
    done = subprocess.run([uv, *words[:1], *nowhere, *words[1:]], capture_output=True, text=True, check=False)
    if "unexpected argument" in done.stderr or "unrecognized subcommand" in done.stderr:
        raise CommandRefused(f"uv: {done.stderr.strip()}")


def _aws(words: list[str]) -> None:
    """Service, operation and options are in the SDK's own description of AWS."""
    if words[:1] == ["configure"] or words[:2] == ["sso", "login"]:
        return
    service, operation, *options = words
    session: Any = botocore.session.get_session()
    if service not in session.get_available_services():
        raise CommandRefused(f"aws: no service {service}")
    model = session.get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        raise CommandRefused(f"aws {service}: no operation {operation}")
    shape = model.operation_model(names[operation]).input_shape
    taken = {xform_name(name, "-") for name in (shape.members if shape else ())}
    taken |= {"query", "output", "region", "profile", "no-cli-pager", "filters"}
    for option in options:
        name = option.partition("=")[0]
        if name.startswith("--") and name.removeprefix("--").removeprefix("no-") not in taken:
            raise CommandRefused(f"aws {service} {operation}: no option {name}")


def _git(words: list[str]) -> None:
    if words[:1] not in (["clone"], ["add"], ["commit"], ["checkout"], ["diff"], ["status"], ["push"], ["restore"]):
        raise CommandRefused(f"git {' '.join(words)}")


def _needs(count: int, program: str) -> Callable[[list[str]], None]:
    def least(words: list[str]) -> None:
        if len(words) < count:
            raise CommandRefused(f"{program} lacks an argument")

    return least


KINDS: Final[Mapping[str, Callable[[list[str]], None]]] = {
    "aws": _aws,
    "cd": _needs(1, "cd"),
    "cp": _needs(2, "cp"),
    "curl": _needs(1, "curl"),
    "export": _needs(1, "export"),
    "git": _git,
    "make": _make,
    "mkdir": _needs(1, "mkdir"),
    "petpark": _petpark,
    "pulumi": _pulumi,
    "unset": _needs(1, "unset"),
    "uv": _uv,
}
