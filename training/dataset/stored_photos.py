"""Which photos the data lake has, and how earlier datasets describe them, read only as far as needed."""

import re
import threading
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate, islice
from typing import Final

from registry.encoding import SHA256
from registry.layout.data_lake import DATASETS, photo_key
from registry.store.object_store import ObjectStore
from training.dataset.manifest import MANIFEST_SUFFIX, Photo, read_lines
from training.errors import DatasetMissing, ManifestMalformed

_PAGE: Final = 1000
"""Keys that one request lists.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""
_PREFIX: Final = photo_key("")
_BEHIND: Final = "g"
"""Sorts behind every hash."""

_DIGITS: Final = 16
"""Of a hash, to begin a page with."""

_BEGINNING: Final = re.compile(f"[0-9a-f]{{{_DIGITS}}}")

_FULL: Final = 0.8
"""Of a page, that the next begins after: where hashes lie a little closer, it still reaches as far."""

_MANIFESTS: Final = 4
_BYTES: Final = 256 * 1024 * 1024
"""Of manifests that are read: some 600,000 photos."""

_HASH: Final = re.compile(rb'"sha256":"([0-9a-f]{64})"')
"""In a line of a manifest. A further column of the index may be called so, too: what is found is checked."""


class StoredPhotos:
    """The photos of a data lake by hash. A question costs a request or two at most, and often none.

    A page of keys answers all questions about the hashes within it. Hashes are spread evenly, so the first page tells
    how far others reach, and pages begin where others should end: a few photos cost a request each, and many hardly
    more than a listing of the whole lake. For any number of threads.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._starts: list[str] = []
        self._ends: list[str] = []
        """Hashes from a start to its end, both included, are known to be there or not; ascending, none overlapping."""
        self._there: set[bytes] = set()
        self._reach = 0
        """How far from its beginning a page tells all, in numbers of `_DIGITS` digits."""

    def has(self, sha256: str) -> bool:
        """Whether the lake has this photo, or had it when a page with it was listed."""
        start = sha256[:_DIGITS]
        with self._lock:
            if not self._starts:  # all threads begin here, and the first page may be all
                names, end = self._list("")
                self._record("", names, end)
                self._reach = max(1, int(_FULL * _number(end)))
            known = self._knows(sha256)
        if not known:
            number = _number(start)
            for begin in (f"{number - number % self._reach:0{_DIGITS}x}", start):
                page = self._list(begin)
                with self._lock:
                    self._record(begin, *page)
                    if self._knows(sha256):
                        break
        return bytes.fromhex(sha256) in self._there

    def _knows(self, sha256: str) -> bool:
        span = bisect_right(self._starts, sha256) - 1
        return span >= 0 and sha256 <= self._ends[span]

    def _list(self, start: str) -> tuple[list[str], str]:
        """The names of a page that begins with the first digits of a hash, and up to where it tells all."""
        keys = islice(self._store.keys(_PREFIX, after=photo_key(start)), _PAGE)
        names = [key.removeprefix(_PREFIX) for key in keys]
        return names, names[-1] if len(names) == _PAGE else _BEHIND

    def _record(self, start: str, names: list[str], end: str) -> None:
        # Any other object there is not a photo of ours, and harmless.
        self._there.update(bytes.fromhex(name) for name in names if SHA256.fullmatch(name))
        place = bisect_right(self._starts, start)
        if place and self._ends[place - 1] >= start:  # another thread listed it in between
            place -= 1
            start, end = self._starts[place], max(end, self._ends[place])
        last = place
        while last < len(self._starts) and self._starts[last] <= end:
            end = max(end, self._ends[last])
            last += 1
        self._starts[place:last], self._ends[place:last] = [start], [end]


def _number(name: str) -> int:
    """Where a name lies among hashes; behind all for what is none."""
    return int(name[:_DIGITS], 16) if _BEGINNING.match(name) else 16**_DIGITS


class EarlierPhotos:
    """What the newest manifests of a data lake say of photos, by hash. They are read when the first photo is wanted.

    Lines are kept as bytes, some 500 a photo, and parsed when their photo is wanted. For any number of threads.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._lines: dict[bytes, bytes] | None = None

    def get(self, sha256: str) -> Photo | None:
        """The photo as the newest of these manifests describes it; None if none of them has it."""
        with self._lock:
            if self._lines is None:
                self._lines = dict(self._read())
        line = self._lines.get(bytes.fromhex(sha256))
        try:
            photo = Photo.from_line(line) if line else None
        except ValueError:
            return None  # a manifest that cannot be used only means that the photo is decoded
        return photo if photo is not None and photo.sha256 == sha256 else None

    def _read(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield hashes and lines, the newest manifest last, so that it counts."""
        stats = [stored for stored in self._store.stats(DATASETS) if stored.key.endswith(MANIFEST_SUFFIX)]
        newest = sorted(stats, key=lambda stored: stored.age)[:_MANIFESTS]
        sizes = accumulate(stored.bytes for stored in newest)
        for stored in reversed([stored for stored, size in zip(newest, sizes, strict=True) if size <= _BYTES]):
            sha256 = stored.key.removeprefix(DATASETS).removesuffix(MANIFEST_SUFFIX)
            with suppress(DatasetMissing, ManifestMalformed):
                found = [(bytes.fromhex(name[1].decode()), line) for line, name in _named(self._store, sha256)]
                yield from found


def _named(store: ObjectStore, sha256: str) -> Iterator[tuple[bytes, re.Match[bytes]]]:
    for line in read_lines(store, sha256):
        if name := _HASH.search(line):
            yield line, name
