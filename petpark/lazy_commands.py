"""Commands whose modules are imported when they are used: most need libraries that `--help` and completion do not.

The text of a listing is stated next to the module's name, so that it needs no import; tests compare the two.
"""

import importlib
from collections.abc import Generator, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, override

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group


@dataclass(frozen=True)
class Listed:
    """Where a command is: a module with `register(app)` or, for a group of commands, with `app`; and what it is for."""

    module: str
    help: str


class _Modules(MutableMapping[str, Any]):
    """Name of a command -> the command, imported at its first use."""

    def __init__(self, listed: Mapping[str, Listed]) -> None:
        self._listed = dict(listed)
        self._loaded: dict[str, Any] = {}

    @override
    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(self._listed[name].module, name)
        return self._loaded[name]

    @override
    def __contains__(self, name: object) -> bool:
        return name in self._listed or name in self._loaded

    @override
    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    @override
    def __delitem__(self, name: str) -> None:
        self._loaded.pop(name, None)
        self._listed.pop(name, None)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._listed, *self._loaded]))

    @override
    def __len__(self) -> int:
        return len(self._listed.keys() | self._loaded.keys())


class LazyGroup(TyperGroup):
    """A group of the commands in `table`, which a subclass states."""

    table: ClassVar[Mapping[str, Listed]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Modules(self.table)
        self._listing = False

    @override
    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    @override
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if self._listing and cmd_name in self.table:
            return TyperCommand(name=cmd_name, help=self.table[cmd_name].help)
        return super().get_command(ctx, cmd_name)

    @override
    def format_help(self, ctx: Any, formatter: Any) -> None:
        with self._as_listed():
            super().format_help(ctx, formatter)

    @override
    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        with self._as_listed():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def _as_listed(self) -> Generator[None]:
        self._listing = True
        try:
            yield
        finally:
            self._listing = False


def _load(module: str, name: str) -> Any:
    found = importlib.import_module(module)
    alone = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False)
    if hasattr(found, "register"):
        found.register(alone)
    else:
        alone.add_typer(found.app, name=name)
    return get_group(alone).commands[name]
