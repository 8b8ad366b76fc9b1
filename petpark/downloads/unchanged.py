"""Whether an installed program is still the one that was verified: its hash, taken again only when the file changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def record(program: Path) -> None:
    """Record the hash of `program`, just verified, next to its folder."""
    _write(program, _digest(program))


def problem(program: Path, *, verified: Callable[[], str]) -> str:
    """Why `program` is not what was installed; empty if it is.

    A file whose size and times are those of the record is the recorded one. Otherwise it is hashed (707 MB: some
    1.3 s), and the record follows where only the times differ. `verified` says the same of a program without a record,
    by other means.
    """
    try:
        known = json.loads(_record(program).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    if not isinstance(known, dict) or known.get("name") != program.name:
        why = verified()
        if not why:
            with suppress(OSError):  # someone else's folder: then it is verified each time
                record(program)
        return why
    if known == {**_facts(program), "sha256": known.get("sha256")}:
        return ""
    found = _digest(program)
    if found != known.get("sha256"):
        return f"its SHA-256 is {found}, and {known.get('sha256')} was installed"
    with suppress(OSError):
        _write(program, found)
    return ""


def _facts(program: Path) -> dict[str, object]:
    found = program.stat()
    times = {"mtime_ns": found.st_mtime_ns, "ctime_ns": found.st_ctime_ns}  # the latter cannot be set
    return {"name": program.name, "size": found.st_size, **times}


def _record(program: Path) -> Path:
    return program.parent.with_name(f"{program.parent.name}.json")


def _digest(program: Path) -> str:
    with program.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(program: Path, digest: str) -> None:
    path = _record(program)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps({**_facts(program), "sha256": digest}, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)
