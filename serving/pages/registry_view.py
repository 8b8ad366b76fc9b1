"""The registry's content for the page Models: channels, their last entries, versions, and who certified them.

It reads with the endpoint's role, only on request, and caches immutable objects.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any, Literal, NotRequired, TypedDict, cast

import msgspec

from registry.certificates.certificate import Certificate, Certificates
from registry.certificates.signing import Verifier
from registry.channels.channel import Channel, ChannelEntry
from registry.channels.experiment import Experiment, Experiments
from registry.clock import Clock, utc_now
from registry.encoding import NAME, parse_time, sha256_hex
from registry.errors import FileCorrupted, NothingToRollBackTo, RegistryError
from registry.gates import State, figures, states
from registry.identity import person, without_arns
from registry.layout.model_store import Prefix, blob_key, object_prefix
from registry.logs.chain_memory import ChainMemory
from registry.store.object_store import ObjectStore
from registry.version import Version
from registry.versions.catalog import Catalog

REPORT = "report.html"
SHOWN = 50
"""Number of the newest channel entries that are shown."""
FRESH_SECONDS = 5.0
_CHANNELS = 20
_READERS = 8
_MAKERS = ("trained_by", "requested_by", "dataset")


class Move(TypedDict):
    """An entry of a channel. Author and reason are for callers with a key."""

    channel: str
    number: int
    version: int
    digest: str
    by: NotRequired[str]
    why: NotRequired[str]
    previous: int | None
    restores: Annotated[int | None, msgspec.Meta(description="A roll back: the entry whose state it brings back")]
    at: str
    write_id: str
    previous_sha256: str | None


class ChannelView(TypedDict):
    """A channel."""

    name: str
    moves: Annotated[list[Move], msgspec.Meta(description=f"The newest {SHOWN}, newest first")]
    error: str | None


class CertificateState(TypedDict):
    """Whether a version is certified; with the decision's own fields, if there is one."""

    state: Literal["in force", "expired", "refused", "revoked", "none", "unchecked"]


class VersionView(TypedDict):
    """A version; if it cannot be read, only its number and the reason."""

    number: int
    digest: str
    error: str | None
    created_at: NotRequired[str]
    labels: NotRequired[list[str]]
    metrics: NotRequired[dict[str, float]]
    gates: NotRequired[dict[str, State]]
    lineage: NotRequired[dict[str, str]]
    report: NotRequired[Annotated[bool, msgspec.Meta(description="Whether it has a report to read")]]
    certificate: NotRequired[CertificateState]


class RegistryContents(TypedDict):
    """The registry as one document."""

    model: str
    follows: Annotated[str, msgspec.Meta(description="The channel that this endpoint follows")]
    read_at: str
    error: Annotated[str | None, msgspec.Meta(description="Why the registry cannot be read now")]
    channels: list[ChannelView]
    versions: list[VersionView]
    before: Annotated[int | None, msgspec.Meta(description="The version that a roll back brings back")]
    experiment: Annotated[dict[str, Any] | None, msgspec.Meta(description="How the last experiment began, or ended")]


class RegistryView:
    """The registry as one document, read at most once in `FRESH_SECONDS`. `verifier` None: no signature checks."""

    def __init__(
        self,
        store: ObjectStore,
        model: str,
        *,
        follows: str,
        verifier: Verifier | None,
        memory: ChainMemory | None,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`memory`: this machine's verified part of the logs of channels and experiments."""
        self._memory = memory
        self._store = store
        self._model = model
        self._follows = follows
        self._verifier = verifier
        self._clock = clock
        self._monotonic = monotonic
        self._catalog = Catalog(store, model)
        self._certificates = Certificates(store, model)
        self._experiments = Experiments(store, model, follows, clock=clock, memory=memory)
        self._channels: dict[str, Channel] = {}
        self._moves: dict[str, Sequence[ChannelEntry]] = {}
        self._versions: dict[str, Version] = {}
        self._decisions: dict[str, tuple[int, Certificate | None]] = {}
        self._document: RegistryContents | None = None
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def read(self) -> RegistryContents:
        """Returns the document, which also reports an unreachable store. Concurrent callers wait for the same read."""
        async with self._reading:
            if self._document is None or self._read_at is None or self._monotonic() - self._read_at >= FRESH_SECONDS:
                self._document = await asyncio.to_thread(self.look)
                self._read_at = self._monotonic()
            return self._document

    async def report(self, number: int) -> bytes | None:
        """Returns the verified report of version `number`; None if it has none. Raises registry errors."""
        return await asyncio.to_thread(self._report, number)

    def _report(self, number: int) -> bytes | None:
        version = self._catalog.version(number)
        file = version.file(REPORT)
        if file is None:
            return None
        body = self._store.get(blob_key(self._model, file.sha256))
        if sha256_hex(body) != file.sha256:
            raise FileCorrupted(REPORT, expected=f"sha256 {file.sha256}", actual=f"sha256 {sha256_hex(body)}")
        return body

    def forget(self) -> None:
        """Read again at the next request, because this process changed something."""
        self._read_at = None

    def look(self) -> RegistryContents:
        """Read now."""
        read_at = self._clock().isoformat()
        try:
            channels = [self._channel(name) for name in self._names()]
            back, experiment, error = self._before(), self._experiment(), None
        except RegistryError as problem:
            channels, back, experiment, error = [], None, None, str(problem)
        shown = {move.digest: move for name in self._moves for move in self._moves[name]}
        return {
            "model": self._model,
            "follows": self._follows,
            "read_at": read_at,
            "error": error,
            "channels": channels,
            "versions": [] if error else self._describe(shown.values()),
            "before": back,
            "experiment": experiment,
        }

    def _names(self) -> list[str]:
        """Names of channels with entries, one request each."""
        prefix = object_prefix(self._model, Prefix.CHANNELS)
        names = {self._follows}
        after = ""
        for _ in range(_CHANNELS):
            key = next(islice(self._store.keys(prefix, after=after), 1), None)
            if key is None:
                break
            name = key.removeprefix(prefix).partition("/")[0]
            after = f"{prefix}{name}/~"
            if NAME.fullmatch(name):
                names.add(name)
        return sorted(names)

    def _channel(self, name: str) -> ChannelView:
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(self._store, self._model, name, memory=self._memory)
        error = None
        try:
            head, seen = channel.head(), self._moves.get(name, ())
            if head is None:
                self._moves[name] = ()
            elif not seen or seen[-1].number != head.number:
                self._moves[name] = channel.recent(SHOWN)
        except RegistryError as problem:
            error = str(problem)
        moves = [{**move.to_dict(), "by": person(move.by)} for move in reversed(self._moves.get(name, ()))]
        return {"name": name, "moves": cast("list[Move]", moves), "error": error}

    def _before(self) -> int | None:
        """Returns the version that a rollback of the followed channel would bring back."""
        moves = self._moves.get(self._follows)
        if not moves:
            return None
        try:
            return self._channels[self._follows].before(moves[-1]).version
        except NothingToRollBackTo:
            return None

    def _experiment(self) -> dict[str, Any] | None:
        """Returns the last experiment of the followed channel: how it began, or how it ended."""
        entry = self._experiments.head()
        if entry is None:
            return None
        return {"kind": "start" if isinstance(entry, Experiment) else "end", **asdict(entry), "by": person(entry.by)}

    def _describe(self, moves: Iterable[ChannelEntry]) -> list[VersionView]:
        newest_first = sorted(moves, key=lambda move: -move.version)
        with ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(self._version, newest_first))

    def _version(self, move: ChannelEntry) -> VersionView:
        view: VersionView = {"number": move.version, "digest": move.digest, "error": None}
        try:
            version = self._versions.get(move.digest) or self._catalog.version(move.version, digest=move.digest)
            self._versions[move.digest] = version
            certificate = self._certificate(version)
        except RegistryError as problem:
            return {**view, "error": str(problem)}
        return {
            **view,
            "created_at": version.created_at,
            "labels": list(version.labels),
            "metrics": figures(version.metrics),
            "report": version.file(REPORT) is not None,
            "gates": states(version.metrics),
            "lineage": {name: without_arns(version.lineage[name]) for name in _MAKERS if name in version.lineage},
            "certificate": certificate,
        }

    def _certificate(self, version: Version) -> CertificateState:
        """Returns the current decision. Needs one request without new decisions since the last read."""
        if self._verifier is None:
            return {"state": "unchecked"}
        known = self._decisions.get(version.digest)
        if known is None or self._certificates.decided_after(version, known[0]):
            look = self._certificates.look(version, self._verifier)
            known = (look.next_number - 1, look.latest)
            self._decisions[version.digest] = known
        certificate = known[1]
        if certificate is None:
            return {"state": "none"}
        view = {"state": self._state(certificate), **certificate.to_dict(), "by": person(certificate.by)}
        return cast("CertificateState", view)

    def _state(self, certificate: Certificate) -> str:
        if certificate.decision != "certified":
            return certificate.decision
        ends = certificate.expires_at
        return "in force" if ends is not None and self._clock() < parse_time(ends) else "expired"
