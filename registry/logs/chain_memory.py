"""What this machine read of chained logs and verified, in files of its own: it need not be read again."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from registry.encoding import sha256_hex
from registry.store.local_files import written_whole

WORTH_KEEPING = 200
"""Entries read since the file was written that make it worth rewriting; fewer are read again, which is quick."""


class ChainMemory:
    """A folder with a file for each log of one store: the stored bytes of its entries, one a line. For `Chain`.

    Nothing in it is trusted: a chain compares every line with the line before, and the last line with the
    store. Any number of processes may share it. No right to write here, or a full disk, costs time and is not an error.
    """

    def __init__(self, directory: Path, *, store: str) -> None:
        """`store` distinguishes logs of the same name in different stores: the name of the bucket."""
        self._directory = directory / "logs" / sha256_hex(store.encode())[:16]

    def load(self, prefix: str) -> Sequence[bytes]:
        """The entries of the log under `prefix`, oldest first; none if nothing is known of it."""
        try:
            return self._file(prefix).read_bytes().splitlines()
        except OSError:
            return ()

    def keep(self, prefix: str, entries: Iterable[bytes]) -> None:
        """Remember these entries, which are canonical JSON and so have no line breaks, instead of those before."""
        with contextlib.suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            with written_whole(self._file(prefix)) as file:
                file.writelines(entry + b"\n" for entry in entries)

    def _file(self, prefix: str) -> Path:
        return self._directory / f"{sha256_hex(prefix.encode())[:16]}.jsonl"
