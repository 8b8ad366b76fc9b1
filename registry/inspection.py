"""fsck: every object of a model's registry, held against what it must be. Reads everything, changes nothing."""

import re
import tempfile
from collections.abc import Callable, Container, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from registry import layout
from registry.catalog import Catalog
from registry.certificate import Certificates
from registry.channel import Channel, Move
from registry.errors import (
    ClockSkewed,
    DigestMismatch,
    FileCorrupted,
    ForeignObject,
    KeyUnavailable,
    ObjectRewritten,
    RegistryError,
    StoreRefused,
    StoreUnavailable,
    VersionMissing,
)
from registry.experiment import Experiments
from registry.layout import Shelf
from registry.log import Log, unbroken
from registry.object_store import PrunableStore, Revision, Stored
from registry.repairs import Repairs
from registry.signing import Verifier
from registry.version import StoredFile, Version

READERS = 8
_NUMBERED = r"\d{8}\.json"
_SHELVES: Mapping[Shelf, re.Pattern[str]] = {
    Shelf.BLOBS: re.compile(r"sha256/(?P<name>[0-9a-f]{64})"),
    Shelf.VERSIONS: re.compile(rf"(?P<name>{_NUMBERED})"),
    Shelf.CHANNELS: re.compile(rf"(?P<name>[a-z0-9][a-z0-9-]{{0,62}})/{_NUMBERED}"),
    Shelf.EXPERIMENTS: re.compile(rf"(?P<name>[a-z0-9][a-z0-9-]{{0,62}})/{_NUMBERED}"),
    Shelf.CERTIFICATES: re.compile(rf"(?P<name>\d{{8}})/{_NUMBERED}"),
    Shelf.REPAIRS: re.compile(rf"(?P<name>{_NUMBERED})"),
}

type Progress = Callable[[int, int], None]
"""Blobs that were read, of how many."""


class Severity(StrEnum):
    """What a finding means for somebody who relies on the registry."""

    DAMAGE = "damage"
    """A guarantee does not hold."""
    TRACE = "trace"
    """Somebody wrote where they should not; what stands there now may still be right."""
    GARBAGE = "garbage"
    """Nobody needs it."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it must be; `error` names it and says what to do."""

    severity: Severity
    where: str
    error: RegistryError


@dataclass(kw_only=True)
class Inspection:
    """What was looked at, and what was found."""

    versions: int = 0
    blobs: int = 0
    bytes: int = 0
    moves: int = 0
    certificates: int = 0
    unused: int = 0
    """Blobs that no version uses; `Collector` says which of them may go."""
    unused_bytes: int = 0
    repairs: int = 0
    """Objects that somebody declared void; they are no findings any more."""
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @contextmanager
    def noting(self, severity: Severity, where: str) -> Generator[None]:
        """An outcome inside this block becomes a finding, and the inspection goes on behind the block.

        What says nothing about the registry, but only that it cannot be looked at now, is raised.
        """
        try:
            yield
        except (ClockSkewed, KeyUnavailable, StoreRefused, StoreUnavailable):
            raise
        except RegistryError as error:
            self.findings.append(Finding(severity=severity, where=where, error=error))


def inspect(
    store: PrunableStore,
    model: str,
    *,
    verifier: Verifier | None,
    deep: bool = False,
    progress: Progress = lambda *_: None,
) -> Inspection:
    """Look at every object of `model`; `deep`: read and hash every blob, too.

    `verifier` None: signatures are not checked. What the store itself refuses, or does not answer, is raised.
    """
    seen = Inspection()
    found = _shelve(store, model, seen)
    repairs = Repairs(store, model).all()
    seen.repairs = len(repairs)
    declared = frozenset(repair.key for repair in repairs)
    versions = _versions(store, model, declared, seen)
    for name in sorted({name for name, _ in found[Shelf.CHANNELS]}):
        seen.moves += len(inspect_channel(store, model, name, versions, seen, declared=declared))
    for name in sorted({name for name, _ in found[Shelf.EXPERIMENTS]}):
        where = f"experiments of channel {name}"
        with seen.noting(Severity.DAMAGE, where):
            log = Experiments(store, model, name)
            log.history()
            _note_passed_over(
                {layout.experiment_key(model, name, number): error for number, error in log.passed_over.items()},
                declared,
                seen,
            )
    for name in sorted({name for name, _ in found[Shelf.CERTIFICATES]}):
        seen.certificates += _certificates(store, model, int(name), versions, verifier, seen)
    blobs = dict(found[Shelf.BLOBS])
    used = _files(versions, blobs, model, seen)
    _revisions(store.revisions(f"{model}/"), seen, used=used)
    if deep:
        _hash_blobs(store, blobs.values(), used, seen, progress)
    return seen


def inspect_channel(
    store: PrunableStore,
    model: str,
    channel: str,
    versions: Mapping[int, Version] | None,
    seen: Inspection,
    *,
    declared: Container[str] = (),
) -> list[Move]:
    """Hold one channel's log against itself, against `versions` (None: not), and against what the bucket remembers.

    Returns its moves; none if they are no history. With `versions` None, the bucket's memory of this channel is asked
    here. `declared`: keys that a repair declared void, which are no finding.
    """
    where = f"channel {channel}"
    moves: list[Move] = []
    with seen.noting(Severity.DAMAGE, where):
        log = Channel(store, model, channel)
        moves = log.history()
        _note_passed_over(
            {layout.move_key(model, channel, number): error for number, error in log.passed_over.items()},
            declared,
            seen,
        )
        for move in moves if versions is not None else ():
            with seen.noting(Severity.DAMAGE, f"{where}, move {move.number}"):
                version = (versions or {}).get(move.version)
                if version is None:
                    raise VersionMissing(model, move.version)
                if version.digest != move.digest:
                    raise DigestMismatch(version.title, expected=move.digest, actual=version.digest)
    if versions is None:
        _revisions(store.revisions(layout.channel_prefix(model, channel)), seen)
    return moves


def _shelve(store: PrunableStore, model: str, seen: Inspection) -> Mapping[Shelf, list[tuple[str, Stored]]]:
    """Every object by shelf, with the name of its blob, channel or version; what fits nowhere is found."""
    shelves: dict[Shelf, list[tuple[str, Stored]]] = {shelf: [] for shelf in Shelf}
    for stored in store.stats(f"{model}/"):
        shelf, _, rest = stored.key.removeprefix(f"{model}/").partition("/")
        match = _SHELVES[Shelf(shelf)].fullmatch(rest) if shelf in set(Shelf) else None
        if match is None:
            with seen.noting(Severity.TRACE, stored.key):
                raise ForeignObject("an object that petpark did not write", key=stored.key)
        else:
            shelves[Shelf(shelf)].append((match["name"], stored))
    seen.blobs = len(shelves[Shelf.BLOBS])
    seen.bytes = sum(stored.bytes for entries in shelves.values() for _, stored in entries)
    return shelves


def _note_passed_over(passed_over: Mapping[str, RegistryError], declared: Container[str], seen: Inspection) -> None:
    """What lies in a chained log and is no part of it: readers go on behind it, but somebody wrote it."""
    for key, error in passed_over.items():
        if key not in declared:
            with seen.noting(Severity.TRACE, key):
                raise error


def _versions(store: PrunableStore, model: str, declared: Container[str], seen: Inspection) -> dict[int, Version]:
    """Every version that can be read, one by one: one that is damaged must not hide the others."""
    catalog = Catalog(store, model)
    log = Log(
        store=store,
        prefix=layout.shelf_prefix(model, Shelf.VERSIONS),
        key=lambda number: layout.version_key(model, number),
    )
    versions: dict[int, Version] = {}
    there = log.numbers()
    end = unbroken(there)
    with ThreadPoolExecutor(READERS) as pool:
        reading = {number: pool.submit(catalog.version, number) for number in there}
    for number, read in reading.items():
        if layout.version_key(model, number) not in declared:
            with seen.noting(Severity.DAMAGE, f"version {number}"):
                versions[number] = read.result()
                if number > end:
                    raise log.hole(end + 1)
    seen.versions = len(versions)
    return versions


def _certificates(
    store: PrunableStore,
    model: str,
    number: int,
    versions: Mapping[int, Version],
    verifier: Verifier | None,
    seen: Inspection,
) -> int:
    where = f"certificates of version {number}"
    count = 0
    with seen.noting(Severity.DAMAGE, where):
        version = versions.get(number)
        if version is None:
            raise VersionMissing(model, number)
        certificates = Certificates(store, model)
        count = len(certificates.numbers(version))
        for problem in certificates.invalid(version, verifier) if verifier is not None else ():
            with seen.noting(Severity.TRACE, where):
                raise problem
        certificates.check_unbroken(version)
    return count


def _files(
    versions: Mapping[int, Version], blobs: Mapping[str, Stored], model: str, seen: Inspection
) -> Mapping[str, StoredFile]:
    """The blobs that versions use, by key; each must be there, as long as it was."""
    used: dict[str, StoredFile] = {}
    for version in versions.values():
        for file in version.files:
            used[layout.blob_key(model, file.sha256)] = file
            blob = blobs.get(file.sha256)
            if blob is None or blob.bytes != file.bytes:
                with seen.noting(Severity.DAMAGE, version.title):
                    actual = "no such blob" if blob is None else f"{blob.bytes} bytes"
                    raise FileCorrupted(
                        file.name, expected=f"{file.bytes} bytes of sha256 {file.sha256}", actual=actual
                    )
    unused = [blob for blob in blobs.values() if blob.key not in used]
    seen.unused, seen.unused_bytes = len(unused), sum(blob.bytes for blob in unused)
    return used


def _revisions(revisions: Iterable[Revision], seen: Inspection, *, used: Container[str] = ()) -> None:
    """Each key has had one state. A blob may have been collected, and sent again, while no version used it."""
    for key, group in groupby(revisions, key=lambda revision: revision.key):
        states = list(group)
        deletions = sum(state.deleted for state in states)
        gone = states[0].deleted
        if f"/{Shelf.BLOBS}/" in key:
            right = len(states) - deletions <= deletions + 1 and not (gone and key in used)
        else:
            right = len(states) == 1 and not gone
        if not right:
            with seen.noting(Severity.TRACE, key):
                raise ObjectRewritten(key, revisions=len(states), deleted=gone)


def _hash_blobs(
    store: PrunableStore,
    blobs: Iterable[Stored],
    used: Mapping[str, StoredFile],
    seen: Inspection,
    progress: Progress,
) -> None:
    blobs = list(blobs)
    with tempfile.TemporaryDirectory(prefix="petpark-fsck-") as folder, ThreadPoolExecutor(READERS) as pool:

        def read(blob: Stored) -> str:
            path = Path(folder) / blob.key.rpartition("/")[2]
            sha256 = store.download(blob.key, path, size=blob.bytes)
            path.unlink()
            return sha256

        for done, (blob, sha256) in enumerate(zip(blobs, pool.map(read, blobs), strict=True), start=1):
            expected = blob.key.rpartition("/")[2]
            progress(done, len(blobs))
            if sha256 != expected:
                with seen.noting(Severity.DAMAGE, blob.key):
                    name = used[blob.key].name if blob.key in used else "(of no version)"
                    raise FileCorrupted(name, expected=f"sha256 {expected}", actual=f"sha256 {sha256}")
