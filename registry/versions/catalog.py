"""The catalog: publishes several files as one version, and returns them verified."""

import itertools
import secrets
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from registry.clock import Clock, utc_now
from registry.encoding import format_time, sha256_hex
from registry.errors import (
    DigestMismatch,
    FileCorrupted,
    NumberTaken,
    ObjectMissing,
    RegistryError,
    VersionMalformed,
    VersionMissing,
)
from registry.layout.model_store import Prefix, blob_key, object_prefix, version_key
from registry.logs.log import Log, unbroken
from registry.logs.repairs import Repairs
from registry.store.blob_cache import BlobCache
from registry.store.local_files import sha256_of
from registry.store.object_store import ObjectStore
from registry.store.transfer import SMALL_BYTES, in_order
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
            prefix=object_prefix(model, Prefix.VERSIONS),
            key=lambda number: version_key(model, number),
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
        paths = {file.name: directory / file.name for file in version.files}
        small = [file for file in version.files if file.bytes <= SMALL_BYTES]
        self._fetch_small([file for file in small if not self._is_here(file, paths[file.name])], paths)
        large = [file for file in version.files if file.bytes > SMALL_BYTES]
        for _ in in_order(lambda file: self._fetch_large(file, paths[file.name]), large):
            pass
        if self._cache is not None:
            self._cache.evict(spare=(file.sha256 for file in version.files))
        return paths

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

    def readable(self) -> list[Version]:
        """All versions that can be read, ascending; damaged ones are skipped."""
        return self.recent(len(self.numbers()))

    def _send(self, files: Mapping[str, Path], latest: Sequence[Version]) -> list[StoredFile]:
        """Store what is missing. Takes at most so long that no blob that was seen can be collected before the end."""
        known = {file.sha256 for version in latest for file in version.files}
        while True:
            began = self._monotonic()
            sending = Sending(self._store, self.model, known=known)
            sent = sending.send(files)
            if not sending.old.keys() <= known:
                known |= {file.sha256 for version in self.readable() for file in version.files}
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
            raise VersionMalformed(f"{version.title} in its place", key=version_key(self.model, number))
        return version

    def _is_here(self, file: StoredFile, path: Path) -> bool:
        """Whether `path` already has the right bytes, or could be copied from the cache."""
        if path.is_file() and sha256_of(path) == file.sha256:
            return True
        return self._cache is not None and self._cache.copy_to(file.sha256, path)

    def _fetch_small(self, files: Sequence[StoredFile], paths: Mapping[str, Path]) -> None:
        with closing(self._store.get_each(self._blob(file) for file in files)) as bodies:
            for file in files:
                try:
                    body = next(bodies)
                except ObjectMissing as error:
                    raise _no_blob(file) from error
                _check(file, sha256_hex(body))
                with _new_file(paths[file.name]) as part:
                    part.write_bytes(body)
                    self._keep(file, part)

    def _fetch_large(self, file: StoredFile, path: Path) -> None:
        if self._is_here(file, path):
            return
        with _new_file(path) as part:
            try:
                actual = self._store.download(self._blob(file), part, size=file.bytes)
            except ObjectMissing as error:
                raise _no_blob(file) from error
            _check(file, actual)
            self._keep(file, part)

    def _blob(self, file: StoredFile) -> str:
        return blob_key(self.model, file.sha256)

    def _keep(self, file: StoredFile, path: Path) -> None:
        if self._cache is not None:
            self._cache.keep(file.sha256, path)


@contextmanager
def _new_file(path: Path) -> Generator[Path]:
    """A temporary path that is renamed to `path` at the end of the block; on an error it is deleted."""
    part = path.parent / f".part-{secrets.token_hex(8)}"
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _check(file: StoredFile, actual: str) -> None:
    if actual != file.sha256:
        raise FileCorrupted(file.name, expected=f"sha256 {file.sha256}", actual=f"sha256 {actual}")


def _no_blob(file: StoredFile) -> FileCorrupted:
    return FileCorrupted(file.name, expected=f"sha256 {file.sha256}", actual="no such blob")
