"""fsck: checks every object of a model's registry. Read-only."""

import tempfile
from collections.abc import Callable, Container, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from registry.certificates.certificate import Certificates
from registry.certificates.signing import Verifier
from registry.channels.channel import Channel, ChannelEntry
from registry.channels.experiment import Experiments
from registry.encoding import SHA256
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
from registry.layout.model_store import Prefix, blob_key, channel_entry_key, channel_prefix, experiment_key, version_key
from registry.logs.log import unbroken
from registry.logs.repairs import Repairs
from registry.store.object_info import Revision
from registry.store.object_store import PrunableStore
from registry.store.transfer import REQUESTS_AT_ONCE, in_order
from registry.version import StoredFile, Version
from registry.versions.catalog import Catalog
from registry.versions.contents import Contents

READERS = REQUESTS_AT_ONCE
_DOWNLOADS = 8

type Progress = Callable[[int, int], None]
"""Blobs that were read, of how many."""


class Severity(StrEnum):
    """What a finding means for somebody who relies on the registry."""

    DAMAGE = "damage"
    """A guarantee is broken."""
    TRACE = "trace"
    """Somebody wrote where they should not; what stands there now may still be right."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One problem; `error` names it and says what to do."""

    severity: Severity
    where: str
    error: RegistryError


@dataclass(kw_only=True)
class Inspection:
    """What was checked, and what was found."""

    versions: int = 0
    blobs: int = 0
    bytes: int = 0
    moves: int = 0
    certificates: int = 0
    unused: int = 0
    """Blobs that no version uses; `Collector` decides which of them may be removed."""
    unused_bytes: int = 0
    repairs: int = 0
    """Objects that were declared void; they are no longer findings."""
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @contextmanager
    def reporting(self, severity: Severity, where: str) -> Generator[None]:
        """An outcome inside this block becomes a finding, and the inspection continues behind the block.

        Errors that only show that it cannot be read now are raised.
        """
        try:
            yield
        except (ClockSkewed, KeyUnavailable, StoreRefused, StoreUnavailable):
            raise
        except RegistryError as error:
            self.findings.append(Finding(severity=severity, where=where, error=error))

    def add(self, other: "Inspection") -> None:
        """Take in what was found elsewhere."""
        self.certificates += other.certificates
        self.findings += other.findings


@dataclass(frozen=True, kw_only=True)
class ChannelStatus:
    """What a look at one channel's log found: 0 moves and no head if they do not form a history."""

    moves: int = 0
    head: ChannelEntry | None = None


type DigestOf = Callable[[int], str]
"""The digest of the version of that number; raises a RegistryError where there is none."""


def inspect(
    store: PrunableStore,
    model: str,
    *,
    verifier: Verifier | None,
    deep: bool = False,
    progress: Progress = lambda *_: None,
) -> Inspection:
    """Look at every object of `model`; `deep`: read and hash every blob, too.

    Requests go out READERS at a time. What is kept of an object is a few hundred bytes of a blob or a version, and
    nothing of a channel's entry.
    `verifier` None: signatures are not checked. What the store itself refuses, or does not answer, is raised.
    """
    seen = Inspection()
    found = Contents.of(store, model)
    seen.blobs, seen.bytes = len(found.blobs), found.bytes
    for key in found.foreign:
        with seen.reporting(Severity.TRACE, key):
            raise ForeignObject("an object that petpark did not write", key=key)
    repairs = Repairs(store, model).all()
    seen.repairs = len(repairs)
    look = _Look(store, model, found, frozenset(repair.key for repair in repairs), verifier)
    look.at_versions(seen)
    look.at_logs(seen)
    seen.unused = sum(sha256 not in look.used for sha256 in found.blobs)
    seen.unused_bytes = sum(size for sha256, size in found.blobs.items() if sha256 not in look.used)
    _revisions(store.revisions(f"{model}/"), seen, used=look.used)
    if deep:
        look.at_bytes(seen, progress)
    return seen


def inspect_channel(
    store: PrunableStore,
    model: str,
    channel: str,
    digest_of: DigestOf | None,
    seen: Inspection,
    *,
    declared: Container[str] = (),
    see: Callable[[ChannelEntry], None] = lambda _: None,
) -> ChannelStatus:
    """Compare one channel's log with itself, with the versions that it names, and with the bucket's revisions.

    With `digest_of` None, versions are not looked at, and the bucket's memory of this channel is asked here. `see` gets
    each move in turn, also those before a break. `declared`: keys that a repair declared void, which are not findings.
    """
    where = f"channel {channel}"
    look = ChannelStatus()
    with seen.reporting(Severity.DAMAGE, where):
        log = Channel(store, model, channel)
        moves = 0
        for move in log.chain.walk():
            moves += 1
            see(move)
            if digest_of is not None:
                with seen.reporting(Severity.DAMAGE, f"{where}, move {move.number}"):
                    digest = digest_of(move.version)
                    if digest != move.digest:
                        raise DigestMismatch(f"{model} version {move.version}", expected=move.digest, actual=digest)
        look = ChannelStatus(moves=moves, head=log.sure)
        passed_over = {channel_entry_key(model, channel, number): error for number, error in log.passed_over.items()}
        _note_passed_over(passed_over, declared, seen)
    if digest_of is None:
        _revisions(store.revisions(channel_prefix(model, channel)), seen)
    return look


@dataclass(frozen=True, kw_only=True, slots=True)
class _ReadVersion:
    """One version with the decisions about it; `digest` None if it cannot be read."""

    number: int
    digest: str | None
    files: tuple[StoredFile, ...]
    seen: Inspection


class _Look:
    """One look at a registry whose objects are listed."""

    def __init__(
        self, store: PrunableStore, model: str, found: Contents, declared: Container[str], verifier: Verifier | None
    ) -> None:
        self.used: dict[bytes, str] = {}
        """SHA-256 of a blob -> the name of a file that it is, in some version."""
        self._store = store
        self._model = model
        self._found = found
        self._declared = declared
        self._verifier = verifier
        self._catalog = Catalog(store, model)
        self._digests: dict[int, str | None] = {}
        self._unbroken = unbroken(found.versions)

    def at_versions(self, seen: Inspection) -> None:
        """Every version, and what was decided about it: one that is damaged must not hide the others."""
        if self._verifier is not None and self._found.certificates:
            _ = self._verifier.key  # requested once, and not by all readers at once
        numbers = (number for number in self._found.versions if version_key(self._model, number) not in self._declared)
        for read in in_order(self._read, numbers, at_once=READERS, waiting=READERS):
            seen.add(read.seen)
            self._digests[read.number] = read.digest
            seen.versions += read.digest is not None
            for file in read.files:
                self._use(read.number, file, seen)
        for number in sorted(self._found.certificates.keys() - self._digests.keys()):
            with seen.reporting(Severity.DAMAGE, f"certificates of version {number}"):
                raise VersionMissing(self._model, number)

    def at_logs(self, seen: Inspection) -> None:
        """Every channel and its experiments."""
        for name in sorted(self._found.channels):
            look = inspect_channel(self._store, self._model, name, self._digest_of, seen, declared=self._declared)
            seen.moves += look.moves
        for name in sorted(self._found.experiments):
            self._experiments(name, seen)

    def at_bytes(self, seen: Inspection, progress: Progress) -> None:
        """Every byte of every blob."""
        with tempfile.TemporaryDirectory(prefix="petpark-fsck-") as folder:

            def read(blob: tuple[bytes, int]) -> tuple[str, str]:
                expected, size = blob[0].hex(), blob[1]
                path = Path(folder) / expected
                actual = self._store.download(blob_key(self._model, expected), path, size=size)
                path.unlink()
                return expected, actual

            blobs = self._found.blobs
            hashes = in_order(read, blobs.items(), at_once=min(_DOWNLOADS, READERS))
            for done, (expected, actual) in enumerate(hashes, start=1):
                progress(done, len(blobs))
                if actual != expected:
                    with seen.reporting(Severity.DAMAGE, blob_key(self._model, expected)):
                        name = self.used.get(bytes.fromhex(expected), "(of no version)")
                        raise FileCorrupted(name, expected=f"sha256 {expected}", actual=f"sha256 {actual}")

    def _read(self, number: int) -> _ReadVersion:
        seen = Inspection()
        found: list[Version] = []
        entries = self._found.certificates.get(number, [])
        with seen.reporting(Severity.DAMAGE, f"version {number}"):
            version = self._catalog.version(number)
            found.append(version)
            if entries:
                with seen.reporting(Severity.DAMAGE, where := f"certificates of version {number}"):
                    certificates = Certificates(self._store, self._model)
                    seen.certificates = len(entries)
                    for problem in certificates.invalid(version, self._verifier, entries) if self._verifier else ():
                        with seen.reporting(Severity.TRACE, where):
                            raise problem
                    certificates.check_unbroken(version, entries)
            if number > self._unbroken:
                raise self._catalog.log.hole(self._unbroken + 1)
        if not found and entries:
            with seen.reporting(Severity.DAMAGE, f"certificates of version {number}"):
                raise VersionMissing(self._model, number)
        digest, files = (found[0].digest, found[0].files) if found else (None, ())
        return _ReadVersion(number=number, digest=digest, files=files, seen=seen)

    def _use(self, number: int, file: StoredFile, seen: Inspection) -> None:
        """Its blob must be there, as long as it was; one that was sent since blobs were listed is there as well."""
        sha256 = bytes.fromhex(file.sha256)
        self.used.setdefault(sha256, file.name)
        actual = self._found.blobs.get(sha256)
        if actual is None and (blob := self._store.stat(blob_key(self._model, file.sha256))) is not None:
            actual = blob.bytes
        if actual != file.bytes:
            with seen.reporting(Severity.DAMAGE, f"{self._model} version {number}"):
                raise FileCorrupted(
                    file.name,
                    expected=f"{file.bytes} bytes of sha256 {file.sha256}",
                    actual="no such blob" if actual is None else f"{actual} bytes",
                )

    def _digest_of(self, number: int) -> str:
        """As it was read; a version that was published since versions were listed is read now."""
        if number not in self._digests:
            return self._catalog.version(number).digest
        digest = self._digests[number]
        if digest is None:
            raise VersionMissing(self._model, number)
        return digest

    def _experiments(self, name: str, seen: Inspection) -> None:
        with seen.reporting(Severity.DAMAGE, f"experiments of channel {name}"):
            log = Experiments(self._store, self._model, name)
            for _ in log.chain.walk():
                pass
            errors = log.passed_over.items()
            passed_over = {experiment_key(self._model, name, number): error for number, error in errors}
            _note_passed_over(passed_over, self._declared, seen)


def _note_passed_over(passed_over: Mapping[str, RegistryError], declared: Container[str], seen: Inspection) -> None:
    """Objects in a chained log that are not part of it: readers skip them, but they should not exist."""
    for key, error in passed_over.items():
        if key not in declared:
            with seen.reporting(Severity.TRACE, key):
                raise error


def _hash_in(key: str) -> bytes:
    name = key.rpartition("/")[2]
    return bytes.fromhex(name) if SHA256.fullmatch(name) else b""


def _revisions(revisions: Iterable[Revision], seen: Inspection, *, used: Container[bytes] = ()) -> None:
    """Each key has had one state. A blob may have been collected, and sent again, while no version used it."""
    for key, group in groupby(revisions, key=lambda revision: revision.key):
        states = list(group)
        deletions = sum(state.deleted for state in states)
        gone = states[0].deleted
        if f"/{Prefix.BLOBS}/" in key:
            needed = gone and _hash_in(key) in used
            right = len(states) - deletions <= deletions + 1 and not needed
        else:
            right = len(states) == 1 and not gone
        if not right:
            with seen.reporting(Severity.TRACE, key):
                raise ObjectRewritten(key, revisions=len(states), deleted=gone)
