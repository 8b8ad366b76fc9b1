"""The catalog: publishes several files as one version, and gives them back verified."""

import itertools
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from registry import layout
from registry.encoding import format_time
from registry.errors import (
    DigestMismatch,
    FileCorrupted,
    FileMissing,
    ObjectExists,
    ObjectMissing,
    StoreUnavailable,
    VersionMalformed,
    VersionMissing,
)
from registry.local_files import sha256_of
from registry.log import Log
from registry.object_store import ObjectStore
from registry.version import StoredFile, Version, check_file_name, check_name

WORKERS = 8
LOOK_BACK = 16
"""How many of the latest versions a publish compares itself with, to find out that it succeeded before."""


class Catalog:
    """The versions of `model`: 1, 2, 3 …, each immutable."""

    def __init__(
        self, store: ObjectStore, model: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.model = check_name("model", model)
        self._store = store
        self._clock = clock
        self._log = Log(
            store=store,
            prefix=layout.shelf_prefix(model, layout.Shelf.VERSIONS),
            key=lambda number: layout.version_key(model, number),
        )

    def publish(
        self,
        files: Mapping[str, Path],
        *,
        labels: Sequence[str],
        metrics: Mapping[str, float],
        lineage: Mapping[str, str],
    ) -> Version:
        """Store the files, then the version that names them; returns it with its number.

        Blobs go first, so whoever sees a version can have all of it. Publishing the same content again (files, labels,
        metrics, lineage) returns the version that is there: a publish that was cut off is simply repeated.
        Raises FileNameRefused, FileMissing, FileChanged, VersionMalformed.
        """
        names = sorted(map(check_file_name, files))
        hashed = [_hash(name, files[name]) for name in names]
        draft = Version(
            model=self.model,
            number=1,
            created_at=format_time(self._clock()),
            files=tuple(hashed),
            labels=tuple(labels),
            metrics=metrics,
            lineage=lineage,
        )
        distinct = {file.sha256: file for file in hashed}.values()
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda file: self._send(file, files[file.name]), distinct))
        return self._number(draft)

    def version(self, number: int, *, digest: str | None = None) -> Version:
        """Version `number`; VersionMissing, VersionMalformed.

        With `digest`, for instance a move's, only if it is the version of that digest; DigestMismatch.
        """
        body = self._log.read(number) if number > 0 else None
        if body is None:
            raise VersionMissing(self.model, number)
        version = self._parse(number, body)
        if digest is not None and version.digest != digest:
            raise DigestMismatch(version.title, expected=digest, actual=version.digest)
        return version

    def latest(self) -> Version | None:
        """The version with the highest number; None if there is none."""
        number = self._log.last()
        return self.version(number) if number else None

    def versions(self) -> list[Version]:
        """All versions, ascending; HistoryBroken if a number is missing."""
        return [self._parse(number, body) for number, body in enumerate(self._log.read_all(), start=1)]

    def fetch(self, version: Version, directory: Path) -> dict[str, Path]:
        """Every file of `version` under `directory`, by name, each verified now; FileCorrupted.

        What is there already is hashed again and kept if it is right. A file appears only after it was verified.
        """
        directory.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(WORKERS) as pool:
            paths = list(pool.map(lambda file: self._fetch(file, directory / file.name), version.files))
        return {file.name: path for file, path in zip(version.files, paths, strict=True)}

    def verify(self, version: Version) -> None:
        """Read every byte of `version` from the store and compare it with what the version promises; FileCorrupted."""
        with tempfile.TemporaryDirectory(prefix="petpark-verify-") as directory:
            self.fetch(version, Path(directory))

    def _send(self, file: StoredFile, path: Path) -> None:
        key = layout.blob_key(self.model, file.sha256)
        if self._holds(key, file):
            return
        try:
            self._store.create_from(key, path, sha256=file.sha256)
        except ObjectExists:
            return  # another publisher's, or our own first try: the same bytes, for the key is their hash
        except StoreUnavailable:
            if not self._holds(key, file):
                raise

    def _holds(self, key: str, file: StoredFile) -> bool:
        size = self._store.size(key)
        if size is not None and size != file.bytes:
            raise FileCorrupted(file.name, expected=f"{file.bytes} bytes at {key}", actual=f"{size} bytes")
        return size is not None

    def _number(self, draft: Version) -> Version:
        """Give the draft the next free number, unless its content has one."""
        last = self._log.last()
        for number in range(last, max(0, last - LOOK_BACK), -1):
            earlier = self.version(number)
            if earlier.same_content(draft):
                return earlier
        for number in itertools.count(last + 1):
            standing = self._parse(number, self._log.append(number, replace(draft, number=number).to_bytes()))
            if standing.same_content(draft):
                return standing
        raise AssertionError("unreachable: numbers do not end")

    def _parse(self, number: int, body: bytes) -> Version:
        version = Version.from_bytes(body)
        if (version.model, version.number) != (self.model, number):
            raise VersionMalformed(f"{version.title} in its place", key=layout.version_key(self.model, number))
        return version

    def _fetch(self, file: StoredFile, path: Path) -> Path:
        if path.is_file() and sha256_of(path) == file.sha256:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.parent / f".part-{secrets.token_hex(8)}"
        try:
            self._store.download(layout.blob_key(self.model, file.sha256), part)
            actual = sha256_of(part)
            if actual != file.sha256:
                raise FileCorrupted(file.name, expected=f"sha256 {file.sha256}", actual=f"sha256 {actual}")
            part.replace(path)
        except ObjectMissing as error:
            raise FileCorrupted(file.name, expected=f"sha256 {file.sha256}", actual="no such blob") from error
        finally:
            part.unlink(missing_ok=True)
        return path


def _hash(name: str, path: Path) -> StoredFile:
    if not path.is_file():
        raise FileMissing(name, str(path))
    return StoredFile(name=name, sha256=sha256_of(path), bytes=path.stat().st_size)
