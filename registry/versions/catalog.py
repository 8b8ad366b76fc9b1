"""The catalog: publishes several files as one version, and returns them verified."""

import itertools
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from registry import layout
from registry.clock import Clock, utc_now
from registry.encoding import format_time
from registry.errors import (
    DigestMismatch,
    FileCorrupted,
    NumberTaken,
    ObjectMissing,
    RegistryError,
    VersionMalformed,
    VersionMissing,
)
from registry.logs.log import Log, unbroken
from registry.logs.repairs import Repairs
from registry.store.blob_cache import BlobCache
from registry.store.local_files import sha256_of
from registry.store.object_store import ObjectStore
from registry.store.transfer import by_size
from registry.version import StoredFile, Version, check_name
from registry.versions.upload import GRACE, Sending

LOOK_BACK = 16
"""How many of the latest versions a publish compares itself with, to find out that it succeeded before."""


class Catalog:
    """The versions of `model`: 1, 2, 3 …, each immutable."""

    def __init__(
        self,
        store: ObjectStore,
        model: str,
        *,
        cache: BlobCache | None = None,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = check_name("model", model)
        self._store = store
        self._cache = cache
        self._clock = clock
        self._monotonic = monotonic
        self._repairs = Repairs(store, model)
        self.log = Log(
            store=store,
            prefix=layout.object_prefix(model, layout.Prefix.VERSIONS),
            key=lambda number: layout.version_key(model, number),
        )

    def publish(
        self,
        files: Mapping[str, Path],
        *,
        labels: Sequence[str],
        metrics: Mapping[str, float],
        lineage: Mapping[str, str],
        number: int | None = None,
    ) -> Version:
        """Store the files, then the version that names them; returns it with its number.

        Blobs go first, so anyone who sees a version can have all of it. Publishing the same content again (files,
        labels, metrics, lineage) returns the version that is there: a publish that was cut off is simply repeated. With
        `number`, only as this version, which its files may name; NumberTaken if another was first. Raises
        FileNameRefused, FileMissing, FileChanged, FileForgotten, VersionMalformed.
        """
        unsent = [StoredFile(name=name, sha256="0" * 64, bytes=0) for name in files]  # refuses names that cannot be

        def draft(stored: Sequence[StoredFile]) -> Version:
            return Version(
                model=self.model,
                number=1,
                created_at=format_time(self._clock()),
                files=tuple(sorted(stored, key=lambda file: file.name)),
                labels=tuple(labels),
                metrics=metrics,
                lineage=lineage,
            )

        draft(unsent)  # whatever is wrong with the rest shows before anything is sent
        latest = self.recent(LOOK_BACK)
        return self._number(draft(self._send(files, latest)), latest, wanted=number)

    def version(self, number: int, *, digest: str | None = None) -> Version:
        """Version `number`; VersionMissing, VersionMalformed.

        With `digest`, for instance a move's, only if it is the version of that digest; DigestMismatch.
        """
        body = self.log.read(number) if number > 0 else None
        if body is None:
            raise VersionMissing(self.model, number)
        version = self._parse(number, body)
        if digest is not None and version.digest != digest:
            raise DigestMismatch(version.title, expected=digest, actual=version.digest)
        return version

    def latest(self) -> Version | None:
        """The version with the highest number; None if there is none."""
        return next(iter(self.recent(1)), None)

    def numbers(self) -> list[int]:
        """The numbers that are taken, ascending: 1, 2, 3 … What follows a gap is not a version yet."""
        found = self.log.numbers()
        return found[: unbroken(found)]

    def next_number(self) -> int:
        """The number that the next version will have, unless another writer is faster."""
        return len(self.numbers()) + 1

    def versions(self) -> list[Version]:
        """All versions, ascending, of a registry in which nothing is damaged: what the collector relies on.

        VersionMalformed for an object that is none, HistoryBroken for one behind a hole, unless a repair declared it
        void.
        """
        return list(self.each())

    def each(self) -> Iterator[Version]:
        """The same one by one, in bounded memory."""
        numbers = self.log.numbers()
        end = unbroken(numbers)
        for number, body in zip(numbers, self.log.read_ahead(numbers), strict=True):
            try:
                version = self._parse(number, body)
                if number > end:
                    raise self.log.hole(end + 1)
            except RegistryError:
                if not self._repairs.void(self.log.key(number), body):
                    raise
            else:
                yield version

    def fetch(self, version: Version, directory: Path) -> dict[str, Path]:
        """Every file of `version` under `directory`, by name, each verified now; FileCorrupted.

        What is there already is hashed again and kept if it is right. A file appears only after it was verified.
        """
        for folder in {directory, *((directory / file.name).parent for file in version.files)}:
            folder.mkdir(parents=True, exist_ok=True)
        paths = by_size(
            lambda file: self._fetch(file, directory / file.name), version.files, size=lambda file: file.bytes
        )
        if self._cache is not None:
            self._cache.evict(spare=(file.sha256 for file in version.files))
        return {file.name: path for file, path in zip(version.files, paths, strict=True)}

    def verify(self, version: Version) -> None:
        """Read every byte of `version` from the store and compare it with what the version promises; FileCorrupted."""
        with tempfile.TemporaryDirectory(prefix="petpark-verify-") as directory:
            Catalog(self._store, self.model).fetch(version, Path(directory))

    def recent(self, count: int) -> list[Version]:
        """The last `count` versions, ascending; objects among them that are none are skipped."""
        numbers, found = self.numbers(), list[Version]()
        while numbers and len(found) < count:
            wanted = count - len(found)
            numbers, batch = numbers[:-wanted], numbers[-wanted:]
            read = zip(batch, self.log.read_each(batch), strict=True)
            found = [*filter(None, (self._version_or_none(number, body) for number, body in read)), *found]
        return found

    def _send(self, files: Mapping[str, Path], latest: Sequence[Version]) -> list[StoredFile]:
        """Store what is missing. Takes at most so long that no blob that was seen can be collected before the end."""
        known = {file.sha256 for version in latest for file in version.files}
        while True:
            began = self._monotonic()
            sending = Sending(self._store, self.model, known=known)
            sent = sending.send(files)
            if not sending.old.keys() <= known:
                known |= {file.sha256 for version in self.recent(len(self.numbers())) for file in version.files}
            sending.refuse_forgotten(known)
            if self._monotonic() - began < GRACE.total_seconds() / 4:
                return sent

    def _number(self, draft: Version, latest: Sequence[Version], *, wanted: int | None) -> Version:
        """Assign the draft the next free number, unless its content has one."""
        for earlier in reversed(latest):
            if earlier.same_content(draft):
                return earlier
        last = latest[-1].number if latest else 0
        if wanted is not None and wanted != self.next_number():
            raise NumberTaken(self.model, wanted)
        for number in itertools.count(last + 1) if wanted is None else (wanted,):
            standing = self._version_or_none(number, self.log.append(number, replace(draft, number=number).to_bytes()))
            if standing is not None and standing.same_content(draft):
                return standing
        raise NumberTaken(self.model, wanted or 0)

    def _version_or_none(self, number: int, body: bytes) -> Version | None:
        """The version in these bytes; None for invalid ones, so that one publisher cannot stop the others."""
        try:
            return self._parse(number, body)
        except RegistryError:
            return None

    def _parse(self, number: int, body: bytes) -> Version:
        version = Version.from_bytes(body)
        if (version.model, version.number) != (self.model, number):
            raise VersionMalformed(f"{version.title} in its place", key=layout.version_key(self.model, number))
        return version

    def _fetch(self, file: StoredFile, path: Path) -> Path:
        if path.is_file() and sha256_of(path) == file.sha256:
            return path
        if self._cache is not None and self._cache.copy_to(file.sha256, path):
            return path
        part = path.parent / f".part-{secrets.token_hex(8)}"
        try:
            self._receive(file, part)
            if self._cache is not None:
                self._cache.keep(file.sha256, part)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return path

    def _receive(self, file: StoredFile, path: Path) -> None:
        """The file's bytes at `path`, if they are the right ones; FileCorrupted."""
        try:
            actual = self._store.download(layout.blob_key(self.model, file.sha256), path, size=file.bytes)
        except ObjectMissing as error:
            raise FileCorrupted(file.name, expected=f"sha256 {file.sha256}", actual="no such blob") from error
        if actual != file.sha256:
            raise FileCorrupted(file.name, expected=f"sha256 {file.sha256}", actual=f"sha256 {actual}")
