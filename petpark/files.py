"""Writes what operators name on this machine: a whole file or none, and the file before it stays if that fails."""

from __future__ import annotations

import stat
from pathlib import Path

from petpark.errors import FileInTheWay
from registry.store.local_files import written_whole


def write_file(data: str | bytes, path: Path, *, next_step: str = "Name another file.") -> None:
    """Write a file (UTF-8), over one that is there; a device or a pipe is written to. Raises FileInTheWay."""
    content = data.encode(errors="backslashreplace") if isinstance(data, str) else data
    try:
        place = path.resolve()  # a link stays one
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            path.write_bytes(content)  # as it was named: /dev/stdout leads to no path
        elif not place.parent.is_dir():
            raise _refusal(path, f"there is no directory {path.parent}", next_step)
        else:
            with written_whole(place) as file:
                file.write(content)
    except OSError as error:
        raise _refusal(path, str(error.strerror), next_step) from None


def create_file(data: str | bytes, path: Path, *, next_step: str = "Name another file.") -> None:
    """Write a file that does not exist. Raises FileInTheWay; then nothing of it is left."""
    content = data.encode(errors="backslashreplace") if isinstance(data, str) else data
    try:
        with path.open("xb") as file:
            try:
                file.write(content)
                file.flush()
            except OSError:
                path.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise _refusal(path, str(error.strerror), next_step) from None


def _refusal(path: Path, why: str, next_step: str) -> FileInTheWay:
    return FileInTheWay(f"{str(path)[:200]} cannot be written: {why}.", next_step=next_step)
