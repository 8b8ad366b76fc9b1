"""Long logs, written at once: versions and moves as the registry would have written them one by one."""

import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from registry.channels.channel import Channel, ChannelEntry
from registry.layout.model_store import channel_entry_key, version_key
from registry.store.memory_store import MemoryStore
from registry.version import Version
from registry.versions.catalog import Catalog

_ETAG = "user.etag"
"""Where versitygw stores an object's ETag; a response without one is not accepted as the store's."""


def a_version(model: str) -> Version:
    """Version 1 of `model`, as a catalog in memory makes it."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.onnx"
        path.write_bytes(b"not read by anybody")
        return Catalog(MemoryStore(), model).publish(
            {"model.onnx": path}, labels=["cat", "dog"], metrics={"accuracy": 0.97}, lineage={"dataset": "0" * 64}
        )


class VersionLog:
    """The versions of `model`, in the bucket's folder.

    Files go straight into the folder that versitygw serves: through the server the same would take most of an hour.
    It lists and reads them like objects that it stored itself.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._folder = folder
        self._first = a_version(model)
        self.length = 0

    def grow(self, length: int) -> None:
        """Up to version `length`."""
        _write(
            self._folder,
            (
                (version_key(self._first.model, number), replace(self._first, number=number).to_bytes())
                for number in range(self.length + 1, length + 1)
            ),
        )
        self.length = max(length, self.length)


class MoveLog:
    """A channel's moves, in the bucket's folder, each carrying the hash of the one before."""

    def __init__(self, folder: Path, model: str, channel: str) -> None:
        self._folder = folder
        self._model = model
        memory = Channel(MemoryStore(), model, channel)
        first = memory.move(a_version(model), by="benchmark", why="to make a long log")
        self._last = memory.move(a_version(model), by="benchmark", why="to make a long log", expected=1)
        objects = {channel_entry_key(model, channel, move.number): move.to_bytes() for move in (first, self._last)}
        _write(folder, objects.items())

    @property
    def length(self) -> int:
        """How many moves there are."""
        return self._last.number

    def grow(self, length: int) -> None:
        """Up to entry `length`."""
        _write(self._folder, self._following(length))

    def _following(self, length: int) -> Iterator[tuple[str, bytes]]:
        while self._last.number < length:
            self._last: ChannelEntry = replace(
                self._last,
                number=self._last.number + 1,
                write_id=secrets.token_hex(16),
                previous_sha256=self._last.sha256,
            )
            yield channel_entry_key(self._model, self._last.channel, self._last.number), self._last.to_bytes()


def _write(folder: Path, objects: Iterable[tuple[str, bytes]]) -> None:
    made: set[Path] = set()
    for key, body in objects:
        path = folder / key
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        path.write_bytes(body)
        os.setxattr(path, _ETAG, f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'.encode())
