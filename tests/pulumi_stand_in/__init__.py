"""A program that stands for the Pulumi CLI in tests: the same commands, options, files and output, without its engine.

`install` writes it as `<folder>/pulumi`. What it does is set by environment variables:

- `PULUMI_STAND_IN_RECORD`: a file that takes a line of JSON for each call (`Call`).
- `PULUMI_STAND_IN_EMULATOR`: the URL of an emulator on loopback. `preview`, `up`, `refresh` and `destroy` then deploy
  the project's program into it, by the embedded engine; the backend's folder keeps the state.
- `PULUMI_STAND_IN_SCRIPT`: a JSON file that says how those four end where there is no emulator (`script.Script`).
- `PULUMI_STAND_IN_VERSION`: what `pulumi version` prints, `v3.274.0` if it is not set.
- `PULUMI_STAND_IN_PARSE`: if set, a command is parsed and recorded and nothing else is done.

An unknown command or option fails, as it does in the CLI.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent

RECORD = "PULUMI_STAND_IN_RECORD"
EMULATOR = "PULUMI_STAND_IN_EMULATOR"
SCRIPT = "PULUMI_STAND_IN_SCRIPT"
VERSION = "PULUMI_STAND_IN_VERSION"
PARSE = "PULUMI_STAND_IN_PARSE"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call: its words without the program's name, the folder it ran in, and its environment."""

    words: tuple[str, ...]
    folder: str
    environment: dict[str, str]


def install(folder: Path) -> Path:
    """Write the program into `folder` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "pulumi"
    program.write_text(
        "#!/bin/sh\n"
        f"export PYTHONPATH={shlex.quote(str(REPOSITORY))}${{PYTHONPATH:+:$PYTHONPATH}}\n"
        f'exec {shlex.quote(sys.executable)} -m tests.pulumi_stand_in "$@"\n'
    )
    program.chmod(0o755)
    return program


def calls(record: Path) -> Sequence[Call]:
    """What was called, in order."""
    if not record.exists():
        return ()
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    return tuple(
        Call(words=tuple(entry["words"]), folder=entry["folder"], environment=entry["environment"]) for entry in entries
    )
