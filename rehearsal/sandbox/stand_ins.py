"""Stand-ins for commands that would act on the machine underneath: they act on the rehearsed instance.

`stand_ins.py NAME ARGUMENTS…` behaves as the command NAME of an instance would. It asks the instance's supervisor,
found through the sandbox named in `PETPARK_SANDBOX`. What is not rehearsed is refused with a sentence.

Started by path with `-I -S`, so it needs the standard library only.
"""

import json
import os
import shlex
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

SANDBOX = "PETPARK_SANDBOX"
COMMANDS_REFUSED = ("dnf", "yum", "apt-get", "apt", "sudo", "mount", "reboot")


def refuse(sentence: str) -> NoReturn:
    """Print why to standard error and exit with 64 (EX_USAGE)."""
    sys.stderr.write(f"{sentence}\n")
    raise SystemExit(64)


def sandbox() -> Path:
    """The folder of the instance that this process belongs to."""
    if SANDBOX not in os.environ:
        refuse(f"{SANDBOX} is not set: this command works inside a rehearsed instance, with its environment.")
    return Path(os.environ[SANDBOX])


def ask(verb: str, **detail: Any) -> int:
    """Put a request to the supervisor, print what it answers, return its exit code."""
    os.chdir(sandbox() / "run")  # a socket's address is short; a sandbox's path may not be
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(30)
        try:
            channel.connect("control.sock")
            channel.sendall(json.dumps({"verb": verb, **detail}).encode() + b"\n")
            answer = json.loads(channel.makefile().readline())
        except (OSError, ValueError) as problem:
            refuse(f"the instance does not answer ({problem}): it is halting.")
    if answer["output"]:
        print(answer["output"], file=sys.stderr if answer["code"] else sys.stdout)
    return answer["code"]


def shutdown(arguments: Sequence[str]) -> int:
    """`shutdown [-h|-P] [now|+MINUTES], shutdown -c`."""
    when = "+1"
    for argument in arguments:
        if argument == "-c":
            return ask("cancel")
        if argument == "now" or (argument.startswith("+") and argument[1:].isdigit()):
            when = argument
        elif argument not in {"-h", "-P", "--poweroff", "--halt", "--no-wall"} and argument.startswith("-"):
            refuse(f"shutdown {argument} is not rehearsed: use -h, -P or -c with now or +MINUTES.")
    return ask("shutdown", minutes=0 if when == "now" else int(when[1:]))


def poweroff(_arguments: Sequence[str]) -> int:
    """`poweroff`, `halt`."""
    return ask("shutdown", minutes=0)


def systemctl(arguments: Sequence[str]) -> int:
    """`systemctl enable UNIT-FILE`, `systemctl start|stop|restart|status|is-active UNIT…`, `systemctl poweroff`."""
    action, *names = [argument for argument in arguments if not argument.startswith("-")] or ["status"]
    if action in {"poweroff", "halt"}:
        return poweroff(names)
    if action in {"daemon-reload", "reset-failed"}:
        return 0
    if action == "enable" and all(Path(name).is_absolute() for name in names) and len(names) == len(arguments) - 1:
        return max((ask("enable", file=name) for name in names), default=0)
    if action not in {"start", "stop", "restart", "status", "is-active"}:
        refuse(
            f"this use of systemctl {action} is not rehearsed: units are made by systemd-run, or by enabling a file."
        )
    return max((ask("unit", action=action, name=name.removesuffix(".service")) for name in names), default=0)


def systemd_run(arguments: Sequence[str]) -> int:
    """`systemd-run [--unit=NAME] [--property=KEY=VALUE]… [--setenv=KEY=VALUE]… [--working-directory=DIR] COMMAND…`."""
    short = {
        "-u": "--unit",
        "-p": "--property",
        "-E": "--setenv",
        "-d": "--same-dir",
        "-G": "--collect",
        "-q": "--quiet",
    }
    name, directory = f"run-{os.getpid()}", "/"
    properties: list[str] = []
    environment: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        option, equals, value = rest.pop(0).partition("=")
        if option == "--":
            break
        option = short.get(option, option)
        if option in {"--unit", "--property", "--setenv", "--working-directory", "--description"} and not equals:
            value = rest.pop(0) if rest else refuse(f"systemd-run {option} wants a value.")
        if option == "--unit":
            name = value.removesuffix(".service")
        elif option == "--property":
            properties.append(value)
        elif option == "--setenv":
            variable, given, setting = value.partition("=")
            environment[variable] = setting if given else os.environ.get(variable, "")
        elif option == "--working-directory":
            directory = value
        elif option == "--same-dir":
            directory = str(Path.cwd())
        elif option not in {"--collect", "--quiet", "--no-block", "--description"}:
            refuse(f"systemd-run {option} is not rehearsed: see docs/design/instances.md for the options that are.")
    if not rest:
        refuse("systemd-run wants a command to run.")
    detail = {"command": rest, "properties": properties, "environment": environment, "directory": directory}
    return ask("run-unit", name=name, **detail)


def journalctl(arguments: Sequence[str]) -> int:
    """`journalctl [-u UNIT] [-n LINES] [--no-pager]`: a unit's output, or the console without -u."""
    file, lines = sandbox() / "console.log", 0
    rest = iter(arguments)
    for argument in rest:
        option, _, value = argument.partition("=")
        if option in {"-u", "--unit"}:
            file = sandbox() / "journal" / f"{(value or next(rest, '')).removesuffix('.service')}.log"
        elif option in {"-n", "--lines"}:
            lines = int(value or next(rest, "10"))
        elif option not in {"--no-pager", "-e", "-q", "--quiet", "-b"}:
            refuse(f"journalctl {option} is not rehearsed: use -u UNIT and -n LINES.")
    if not file.exists():
        sys.stderr.write("-- No entries --\n")
        return 1
    text = file.read_text(errors="replace").splitlines(keepends=True)
    sys.stdout.writelines(text[-lines:] if lines else text)
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "shutdown": shutdown,
    "poweroff": poweroff,
    "halt": poweroff,
    "systemctl": systemctl,
    "systemd-run": systemd_run,
    "journalctl": journalctl,
}


def main() -> int:
    """Behave as the command named by the first argument."""
    name, *arguments = sys.argv[1:]
    if name in COMMANDS:
        return COMMANDS[name](arguments)
    refuse(
        f"{name} is not rehearsed: it would change the machine underneath. Do that step behind PETPARK_PYTHON, or not."
    )


def install(folder: Path, *, python: Path, aws: Path | None) -> None:
    """Write the commands as small scripts into `folder`, which an instance's PATH begins with.

    `python` is what an instance finds as `python3`, `aws` what it finds as `aws`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scripts = {
        name: f'exec {shlex.quote(sys.executable)} -I -S {shlex.quote(__file__)} {name} "$@"'
        for name in (*COMMANDS, *COMMANDS_REFUSED)
    }
    scripts["python3"] = f'exec {shlex.quote(str(python))} "$@"'
    if aws:
        scripts["aws"] = f'exec {shlex.quote(str(aws))} "$@"'
    for name, line in scripts.items():
        script = folder / name
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
