"""The CLI's commands and options, as its own `--help` lists them (v3.274), as far as petpark needs them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

_FLAG: Final[Mapping[str, Any]] = {"action": "store_true"}
_VALUE: Final[Mapping[str, Any]] = {}
_MANY: Final[Mapping[str, Any]] = {"action": "append", "default": []}

_GLOBAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "--color": {"choices": ("always", "never", "raw", "auto")},
    "--cwd -C": _VALUE,
    "--disable-integrity-checking": _FLAG,
    "--emoji -e": _FLAG,
    "--fully-qualify-stack-names": _FLAG,
    "--logflow": _FLAG,
    "--logtostderr": _FLAG,
    "--non-interactive": _FLAG,
    "--tracing": _VALUE,
    "--verbose -v": _VALUE,
}
_STACK: Final[Mapping[str, Mapping[str, Any]]] = {"--stack -s": _VALUE}
_CONFIG_FILE: Final[Mapping[str, Mapping[str, Any]]] = {"--config-file": _VALUE}
_HIDDEN: Final[Mapping[str, Mapping[str, Any]]] = {"--client": _VALUE, "--event-log": _VALUE, "--exec-kind": _VALUE}
_OPERATION: Final[Mapping[str, Mapping[str, Any]]] = {
    **_STACK,
    **_CONFIG_FILE,
    **_HIDDEN,
    "--config -c": _MANY,
    "--config-path": _FLAG,
    "--debug -d": _FLAG,
    "--diff": _FLAG,
    "--exclude": _MANY,
    "--json -j": _FLAG,
    "--message -m": _VALUE,
    "--parallel -p": _VALUE,
    "--run-program": _FLAG,
    "--show-replacement-steps": _FLAG,
    "--show-sames": _FLAG,
    "--suppress-outputs": _FLAG,
    "--suppress-permalink": _VALUE,
    "--suppress-progress": _FLAG,
    "--target -t": _MANY,
    "--target-dependents": _FLAG,
}
_PROGRAM: Final[Mapping[str, Mapping[str, Any]]] = {
    "--attach-debugger": _FLAG,
    "--exclude-dependents": _FLAG,
    "--expect-no-changes": _FLAG,
    "--policy-pack": _MANY,
    "--refresh -r": {"nargs": "?", "const": "true"},
    "--replace": _MANY,
    "--show-config": _FLAG,
    "--show-full-output": _FLAG,
    "--show-reads": _FLAG,
    "--show-secrets": _FLAG,
    "--target-replace": _MANY,
}
_UPDATE: Final[Mapping[str, Mapping[str, Any]]] = {
    "--skip-preview -f": _FLAG,
    "--yes -y": _FLAG,
}
_KEY_PATH: Final[Mapping[str, Mapping[str, Any]]] = {**_STACK, **_CONFIG_FILE, "--path": _FLAG}

COMMANDS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "about": {**_STACK, "--json -j": _FLAG, "--transitive -t": _FLAG},
    "cancel": {**_STACK, "NAME?": _VALUE, "--yes -y": _FLAG},
    "config": {**_STACK, **_CONFIG_FILE, "--json -j": _FLAG, "--show-secrets": _FLAG, "--open": _FLAG},
    "config cp": {**_KEY_PATH, "KEY?": _VALUE, "--dest -d": _VALUE},
    "config get": {**_KEY_PATH, "KEY": _VALUE, "--json -j": _FLAG, "--open": _FLAG},
    "config refresh": {**_STACK, **_CONFIG_FILE, "--force -f": _FLAG},
    "config rm": {**_KEY_PATH, "KEY": _VALUE},
    "config set": {
        **_KEY_PATH,
        "KEY": _VALUE,
        "VALUE?": _VALUE,
        "--plaintext": _FLAG,
        "--secret": _FLAG,
        "--type": {"choices": ("string", "bool", "int", "float")},
    },
    "config set-all": {**_KEY_PATH, "--json": _VALUE, "--plaintext": _MANY, "--secret": _MANY},
    "destroy": {
        **_OPERATION,
        **_UPDATE,
        "--continue-on-error": _FLAG,
        "--exclude-protected": _FLAG,
        "--preview-only": _FLAG,
        "--refresh -r": {"nargs": "?", "const": "true"},
        "--remove": _FLAG,
        "--show-config": _FLAG,
        "--show-full-output": _FLAG,
    },
    "install": {
        "--no-dependencies": _FLAG,
        "--no-plugins": _FLAG,
        "--parallel": _VALUE,
        "--reinstall": _FLAG,
        "--use-language-version-tools": _FLAG,
    },
    "login": {
        "URL?": _VALUE,
        "--cloud-url -c": _VALUE,
        "--default-org": _VALUE,
        "--insecure": _FLAG,
        "--interactive": _FLAG,
        "--local -l": _FLAG,
    },
    "logout": {"URL?": _VALUE, "--all": _FLAG, "--cloud-url -c": _VALUE, "--local -l": _FLAG},
    "org": {},
    "plugin install": {"KIND?": _VALUE, "NAME?": _VALUE, "VERSION?": _VALUE, "--exact": _FLAG, "--file -f": _VALUE}
    | {"--reinstall": _FLAG, "--server": _VALUE, "--checksum": _VALUE},
    "plugin ls": {"--json -j": _FLAG, "--project -p": _FLAG},
    "preview": {**_OPERATION, **_PROGRAM, "--save-plan": _VALUE, "--import-file": _VALUE},
    "refresh": {
        **_OPERATION,
        **_UPDATE,
        "--clear-pending-creates": _FLAG,
        "--expect-no-changes": _FLAG,
        "--import-pending-creates": _MANY,
        "--preview-only": _FLAG,
        "--skip-pending-creates": _FLAG,
    },
    "stack": {
        **_STACK,
        "--show-ids -i": _FLAG,
        "--show-name": _FLAG,
        "--show-secrets": _FLAG,
        "--show-urns -u": _FLAG,
    },
    "stack change-secrets-provider": {**_STACK, "PROVIDER": _VALUE},
    "stack export": {**_STACK, "--file": _VALUE, "--show-secrets": _FLAG, "--version": _VALUE},
    "stack history": {**_STACK, "--json -j": _FLAG, "--show-secrets": _FLAG, "--full-dates": _FLAG}
    | {"--page": _VALUE, "--page-size": _VALUE},
    "stack init": {
        **_STACK,
        "NAME?": _VALUE,
        "--copy-config-from": _VALUE,
        "--no-select": _FLAG,
        "--yes -y": _FLAG,
        "--secrets-provider": _VALUE,
    },
    "stack ls": {"--all -a": _FLAG, "--json -j": _FLAG, "--organization -o": _VALUE, "--project -p": _VALUE}
    | {"--tag -t": _VALUE},
    "stack output": {**_STACK, "NAME?": _VALUE, "--json -j": _FLAG, "--shell": _FLAG, "--show-secrets": _FLAG},
    "stack rm": {**_STACK, "NAME?": _VALUE, "--force -f": _FLAG, "--preserve-config": _FLAG, "--yes -y": _FLAG},
    "stack select": {**_STACK, "NAME?": _VALUE, "--create -c": _FLAG, "--secrets-provider": _VALUE},
    "stack unselect": {},
    "up": {
        **_OPERATION,
        **_PROGRAM,
        **_UPDATE,
        "--continue-on-error": _FLAG,
        "--plan": _VALUE,
        "--secrets-provider": _VALUE,
    },
    "version": {},
    "whoami": {"--json -j": _FLAG, "--verbose -v": _FLAG},
}
_ALIASES: Final[Mapping[str, str]] = {"update": "up", "down": "destroy", "dn": "destroy", "pre": "preview"}


class UsageError(Exception):
    """Arguments that the CLI does not accept; the message is its output."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message.replace("unrecognized arguments:", "unknown flag:"))


def parse(words: Sequence[str]) -> tuple[str, argparse.Namespace]:
    """The command and its options; raises `UsageError`."""
    ahead, rest = _ahead(words)
    command = _command(rest)
    given = rest[len(command.split()) :]
    options = COMMANDS[command]
    parser = _Parser(prog="pulumi", add_help=False, allow_abbrev=False)
    taken = {name for key in options for name in key.split()}
    for key, settings in [*options.items(), *_GLOBAL.items()]:
        names = [name for name in key.split() if settings is not _GLOBAL.get(key) or name not in taken]
        if not key.startswith("-"):
            parser.add_argument(key.rstrip("?").lower(), nargs="?" if key.endswith("?") else None)
        elif names:
            parser.add_argument(*names, **settings)
    return command, parser.parse_args([*ahead, *given])


def _ahead(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options before the command, and the rest."""
    with_value = {name for key, settings in _GLOBAL.items() if settings is not _FLAG for name in key.split()}
    count = 0
    while count < len(words) and words[count].startswith("-"):
        count += 2 if words[count] in with_value else 1
    return list(words[:count]), list(words[count:])


def _command(words: Sequence[str]) -> str:
    if not words:
        raise UsageError("no command")
    first = _ALIASES.get(words[0], words[0])
    if len(words) > 1 and f"{first} {words[1]}" in COMMANDS:
        return f"{first} {words[1]}"
    if first not in COMMANDS:
        raise UsageError(f'unknown command "{words[0]}" for "pulumi"')
    return first
