"""The registry's content for operators: versions, their channels, reports and verification."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.errors import FileInTheWay, ReportMissing, VersionUnknown
from petpark.ids import complete
from petpark.models.decisions import REPORT
from petpark.models.proof import Proof, prove
from petpark.targets.target import Target
from registry.clock import utc_now
from registry.identity import person
from registry.layout.model_store import Prefix, blob_key, object_prefix
from registry.layout.roles import Role
from registry.store.transfer import REQUESTS_AT_ONCE, in_order

if TYPE_CHECKING:
    from registry.certificates.certificate import Certificate
    from registry.certificates.signing import Verifier
    from registry.channels.channel import Channel, ChannelEntry
    from registry.errors import NotCertified, RegistryError
    from registry.store.object_store import ObjectStore
    from registry.version import StoredFile, Version
    from registry.versions.catalog import Catalog


class Validity(StrEnum):
    """The validity of a decision in a version's log, now."""

    IN_FORCE = "in force"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    INVALID = "not valid"
    """No valid signature for these bytes and this log entry; endpoints ignore it."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One decision about a version; exactly one of `certificate` and `problem` is set."""

    number: int
    validity: Validity
    certificate: Certificate | None = None
    problem: NotCertified | None = None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A version, the channels that have it now, and the decisions about it, oldest first."""

    version: Version
    channels: tuple[str, ...]
    certificates: Sequence[Judged]

    @property
    def decision(self) -> str:
        """The decision that applies: `certified`, `expired`, `refused`, `revoked` or `none`."""
        last = next((each for each in reversed(self.certificates) if each.certificate is not None), None)
        if last is None or last.certificate is None:
            return "none"
        return Validity.EXPIRED if last.validity is Validity.EXPIRED else last.certificate.decision


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The newest versions, newest first, the `total` number, and the current entry of each channel."""

    standings: Sequence[Standing]
    total: int
    heads: Mapping[str, ChannelEntry]
    problems: Mapping[int, RegistryError] = field(default_factory=dict[int, "RegistryError"])
    """The numbers of unreadable versions among the newest, and the errors."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A version's report on this machine; `fetched` is False if it existed before."""

    path: Path
    sha256: str
    bytes: int
    fetched: bool


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """The data needed to determine the state of a version."""

    store: ObjectStore
    verifier: Verifier
    heads: Mapping[str, ChannelEntry]
    at: datetime

    def of(self, version: Version) -> Standing:
        from registry.certificates.certificate import Certificates

        entries = Certificates(self.store, version.model).entries(version, self.verifier)
        return Standing(
            version=version,
            channels=tuple(name for name, head in self.heads.items() if head.version == version.number),
            certificates=judge(entries, at=self.at),
        )


def overview(target: Target, *, last: int | None = 20, at: datetime | None = None) -> Overview:
    """Returns the newest `last` versions (None: all) and their states."""
    from registry.versions.catalog import Catalog

    catalog = Catalog(_store(target), target.outputs.model)
    numbers = catalog.numbers()
    versions, problems = _readable(catalog, numbers if last is None else numbers[-last:])
    heads = channel_heads(target)
    stand = _Standing(store=_store(target), verifier=target.verifier(role=Role.READER), heads=heads, at=at or utc_now())
    standings = in_order(stand.of, reversed(versions), at_once=REQUESTS_AT_ONCE, waiting=REQUESTS_AT_ONCE)
    return Overview(standings=list(standings), total=len(numbers), heads=heads, problems=problems)


def _readable(catalog: Catalog, numbers: Sequence[int]) -> tuple[list[Version], dict[int, RegistryError]]:
    """Returns the versions with these numbers, and the errors of unreadable ones."""
    from registry.errors import NameRefused, VersionMalformed, VersionMissing

    def read(number: int) -> Version | RegistryError:
        try:
            return catalog.version(number)
        except (NameRefused, VersionMalformed, VersionMissing) as error:
            return error

    read_ahead = in_order(read, numbers, at_once=REQUESTS_AT_ONCE, waiting=REQUESTS_AT_ONCE)
    found = dict(zip(numbers, read_ahead, strict=True))
    problems = {number: one for number, one in found.items() if isinstance(one, Exception)}
    return [one for one in found.values() if not isinstance(one, Exception)], problems


_NUMBER = re.compile(r"[1-9]\d{0,7}")
_BEGINNING = re.compile(r"(sha256:)?[0-9a-f]{4,64}")


def names_a_version(named: str) -> bool:
    """Returns whether it can be a version's number, or a prefix of a digest: four digits or more."""
    return bool(_NUMBER.fullmatch(named) or _BEGINNING.fullmatch(named))


def resolve(target: Target, named: str) -> int:
    """Returns the number of the version with this number or digest prefix.

    Digits alone are a number; the prefix `sha256:` makes them a digest. Raises `IdAmbiguous`, `VersionUnknown`.
    """
    from registry.versions.catalog import Catalog

    if named.isdecimal():
        return int(named)
    catalog = Catalog(_store(target), target.outputs.model)
    versions, _ = _readable(catalog, catalog.numbers())
    by_digest = {version.digest: version.number for version in versions}
    beginning = f"sha256:{named.removeprefix('sha256:')}"
    whole = complete("versions", beginning, by_digest, listing="petpark models list --all")
    if whole not in by_digest:
        raise VersionUnknown(f"No version has a digest that begins with {named!r}.", next_step="petpark models list")
    return by_digest[whole]


def standing(target: Target, number: int, *, at: datetime | None = None) -> Standing:
    """Returns one version's state. Raises the registry's `VersionMissing`."""
    return _Standing(
        store=_store(target),
        verifier=target.verifier(role=Role.READER),
        heads=channel_heads(target),
        at=at or utc_now(),
    ).of(version(target, number))


def version(target: Target, number: int) -> Version:
    """Returns version `number`. Raises the registry's `VersionMissing`."""
    from registry.versions.catalog import Catalog

    return Catalog(_store(target), target.outputs.model).version(number)


def channel(target: Target, name: str) -> Channel:
    """Returns channel `name`, read-only. Raises the registry's `NameRefused`."""
    from registry.channels.channel import Channel

    return Channel(_store(target), target.outputs.model, name, memory=target.chains())


def channels(target: Target) -> list[str]:
    """Returns the channels with entries. Needs one request per channel, for any length of history."""
    from registry.encoding import NAME

    store, prefix = _store(target), object_prefix(target.outputs.model, Prefix.CHANNELS)
    names: list[str] = []
    after = ""
    while (key := next(store.keys(prefix, after=after), None)) is not None:
        name, slash, _ = key.removeprefix(prefix).partition("/")
        names += [name] if slash and NAME.fullmatch(name) else []
        after = f"{prefix}{name}0"  # after "/": skips all keys of this folder
    return sorted(names)


def channel_heads(target: Target) -> dict[str, ChannelEntry]:
    """Returns the current entry of every channel that has one."""
    heads = {name: channel(target, name).head() for name in channels(target)}
    return {name: head for name, head in heads.items() if head is not None}


def fetch_report(target: Target, number: int, out: Path | None = None, *, force: bool = False) -> Report:
    """Download the report of version `number` to `out` (a file, or an existing folder), verified by its hash.

    An existing file with other content is overwritten only with `force`. Returns the report's path. Raises
    `ReportMissing`, `FileInTheWay`, or the registry's `VersionMissing` or `FileCorrupted`.
    """
    from registry.store.local_files import sha256_of

    found = version(target, number)
    stored = found.file(REPORT)
    if stored is None:
        raise ReportMissing(
            f"Version {number} has no file {REPORT}.", next_step=f"List its files: petpark models show {number}"
        )
    usual = Path(f"{found.model}-{number}-{REPORT}")
    path = usual if out is None else out / usual if out.is_dir() else out
    try:
        there = sha256_of(path) if path.exists() else None
        if there is not None and there != stored.sha256 and not force:
            raise FileInTheWay(
                f"{path} exists and is not the report of version {number}.",
                next_step="Choose another name (--out FILE), or overwrite it (--force).",
            )
        if there != stored.sha256:
            _fetch(target, found.model, stored, path)
    except OSError as error:
        raise FileInTheWay(f"{path} cannot be written: {error}", next_step="Choose another path: --out FILE") from error
    return Report(path=path, sha256=stored.sha256, bytes=stored.bytes, fetched=there != stored.sha256)


def verify(target: Target, number: int, *, at: datetime | None = None) -> list[Proof]:
    """Returns the checks of version `number`: every byte in the store, its certificate, the channels that name it."""
    from registry.certificates.certificate import Certificates
    from registry.versions.catalog import Catalog

    catalog = Catalog(_store(target), target.outputs.model)  # without cache, to check the store itself
    found = catalog.version(number)

    def files() -> str:
        catalog.verify(found)
        return f"{len(found.files)} files match their hashes"

    def certificate() -> str:
        verifier = target.verifier(role=Role.READER)
        decided = Certificates(_store(target), found.model).require(found, verifier, now=at or utc_now())
        return f"by {person(decided.by)}, until {decided.expires_at}"

    proofs = [prove("files", files), prove("certificate", certificate)]
    proofs += [prove(f"channel {name}", lambda name=name: _named_by(target, name, found)) for name in channels(target)]
    return [proof for proof in proofs if proof.detail]  # no line for a channel that never named it


def judge(entries: Mapping[int, Certificate | NotCertified], *, at: datetime) -> list[Judged]:
    """Returns the validity of each decision of a version's log at this time, by ascending number. Pure."""
    from registry.certificates.certificate import Certificate

    judged: list[Judged] = []
    later: set[str] = set()
    for number, entry in reversed(list(entries.items())):
        if isinstance(entry, Certificate):
            judged.append(Judged(number=number, validity=_validity(entry, later, at), certificate=entry))
            later.add(entry.decision)
        else:
            judged.append(Judged(number=number, validity=Validity.INVALID, problem=entry))
    return judged[::-1]


def _validity(certificate: Certificate, later: set[str], at: datetime) -> Validity:
    """`later`: the valid decisions after this one."""
    from registry.encoding import parse_time

    if later:
        return Validity.REVOKED if certificate.decision == "certified" and "revoked" in later else Validity.SUPERSEDED
    ended = certificate.expires_at is not None and parse_time(certificate.expires_at) <= at
    return Validity.EXPIRED if ended else Validity.IN_FORCE


def _fetch(target: Target, model: str, file: StoredFile, path: Path) -> None:
    """Download one file of a version to `path`, where it appears only when verified."""
    from registry.errors import FileCorrupted, ObjectMissing

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".petpark-", dir=path.parent) as folder:
        part = Path(folder) / path.name
        try:
            actual = _store(target).download(blob_key(model, file.sha256), part, size=file.bytes)
        except ObjectMissing as error:
            raise FileCorrupted(file.name, expected=f"sha256 {file.sha256}", actual="no such blob") from error
        if actual != file.sha256:
            raise FileCorrupted(file.name, expected=f"sha256 {file.sha256}", actual=f"sha256 {actual}")
        part.replace(path)


def _named_by(target: Target, name: str, found: Version) -> str:
    """The channel's entries for this version, as a sentence; empty if none. Raises `DigestMismatch`."""
    from registry.errors import DigestMismatch

    moves = [move for move in channel(target, name).history() if move.version == found.number]
    for move in moves:
        if move.digest != found.digest:
            raise DigestMismatch(
                f"move {move.number} of channel {name} to {found.title}", expected=found.digest, actual=move.digest
            )
    numbers = ", ".join(str(move.number) for move in moves)
    return f"move{'s' if len(moves) > 1 else ''} {numbers}: to this digest" if moves else ""


def _store(target: Target) -> ObjectStore:
    return target.store(target.outputs.model_store, role=Role.READER)
