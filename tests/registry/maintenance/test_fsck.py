"""fsck: every kind of damage has a name and a place, and sound registries have none."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry.certificates.certificate import Certificates
from registry.channels.channel import Channel
from registry.encoding import canonical, parse_canonical, sha256_hex
from registry.layout.model_store import experiment_key
from registry.maintenance.fsck import Inspection, Severity, inspect, inspect_channel
from registry.store.memory_store import MemoryStore
from registry.store.object_info import Stored
from registry.store.object_store import PrunableStore
from registry.versions.catalog import Catalog
from tests.registry.memory_keys import MemorySigner, MemoryVerifier

SIGNER = MemorySigner()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROD = "pets/channels/prod/{:08d}.json"


@pytest.fixture
def registry(store: PrunableStore, files: dict[str, Path]) -> PrunableStore:
    """Two versions, one certified, three moves."""
    catalog, prod = Catalog(store, "pets"), Channel(store, "pets", "prod")
    first, second = (catalog.publish(files, labels=["cat"], metrics={}, lineage={"run": run}) for run in ("r-1", "r-2"))
    Certificates(store, "pets").sign(
        first, decision="certified", signer=SIGNER, by="vera", report_sha256=None, expires_at=NOW, note=""
    )
    for version in (first, second, first):
        prod.move(version, by="mia", why="")
    return store


@pytest.fixture
def stats(registry: PrunableStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are looked at one by one."""
    seen: list[str] = []
    stat = registry.stat

    def noted(key: str) -> Stored | None:
        seen.append(key)
        return stat(key)

    monkeypatch.setattr(registry, "stat", noted)
    return seen


def look(store: PrunableStore, *, deep: bool = True) -> Inspection:
    return inspect(store, "pets", verifier=MemoryVerifier(SIGNER), deep=deep)


def found(inspection: Inspection) -> set[tuple[str, str]]:
    return {(finding.severity.value, finding.error.outcome) for finding in inspection.findings}


def replaced(store: PrunableStore, key: str, body: bytes) -> None:
    """What only somebody with the collector's rights and without scruples can do."""
    store.delete(key)
    store.create(key, body)


def test_a_sound_registry_has_no_findings_and_is_counted(registry: PrunableStore) -> None:
    inspection = look(registry)
    assert inspection.sound
    counted = (inspection.versions, inspection.moves, inspection.certificates, inspection.blobs, inspection.unused)
    assert counted == (2, 3, 1, 3, 0)


def test_blobs_that_the_listing_has_are_not_looked_at_one_by_one(registry: PrunableStore, stats: list[str]) -> None:
    assert look(registry, deep=False).sound
    assert stats == []


def test_blobs_that_nobody_uses_are_counted_and_are_no_damage(registry: PrunableStore) -> None:
    registry.create(f"pets/blobs/sha256/{sha256_hex(b'left')}", b"left")
    inspection = look(registry)
    assert (inspection.sound, inspection.unused, inspection.unused_bytes) == (True, 1, 4)


def blob(content: bytes) -> str:
    return f"pets/blobs/sha256/{sha256_hex(content)}"


def chained(store: PrunableStore, number: int, previous: str) -> bytes:
    """A well-formed move of that number that carries this hash of the one before."""
    fields = parse_canonical(store.get(PROD.format(3))).rest()
    return canonical({**fields, "number": number, "previous_sha256": previous})


def forge_move(store: PrunableStore, number: int, **changes: object) -> None:
    fields = {**parse_canonical(store.get(PROD.format(number))).rest(), **changes}
    replaced(store, PROD.format(number), canonical(fields))


DAMAGES: dict[str, tuple[Callable[[PrunableStore], None], set[tuple[str, str]]]] = {
    "a blob is gone": (
        lambda store: store.delete(blob(b"graph")),
        {("damage", "FileCorrupted"), ("trace", "ObjectRewritten")},
    ),
    "a blob has other bytes of the same length": (
        lambda store: replaced(store, blob(b"graph"), b"grape"),
        {("damage", "FileCorrupted")},
    ),
    "a blob is cut": (
        lambda store: replaced(store, blob(b"graph"), b"gra"),
        {("damage", "FileCorrupted")},
    ),
    "a version is gone": (
        lambda store: store.delete("pets/versions/00000001.json"),
        {("damage", "VersionMissing"), ("damage", "HistoryBroken"), ("trace", "ObjectRewritten")},
    ),
    "a version is cut": (
        lambda store: replaced(store, "pets/versions/00000002.json", store.get("pets/versions/00000002.json")[:-9]),
        {("damage", "VersionMalformed"), ("damage", "VersionMissing"), ("trace", "ObjectRewritten")},
    ),
    "a move is gone": (
        lambda store: store.delete(PROD.format(2)),
        {("damage", "HistoryBroken"), ("trace", "ObjectRewritten")},
    ),
    "the newest move is gone": (lambda store: store.delete(PROD.format(3)), {("trace", "ObjectRewritten")}),
    "a move is cut": (
        lambda store: replaced(store, PROD.format(2), store.get(PROD.format(2))[:-5]),
        {("damage", "HistoryBroken"), ("trace", "ObjectRewritten")},
    ),
    "two moves changed places": (
        lambda store: replaced(store, PROD.format(1), store.get(PROD.format(2))),
        {("damage", "HistoryBroken"), ("trace", "ObjectRewritten")},
    ),
    "a move was rewritten": (
        lambda store: forge_move(store, 2, by="eve"),
        {("damage", "HistoryBroken"), ("trace", "ObjectRewritten")},
    ),
    "the newest move was rewritten to other bytes": (
        lambda store: forge_move(store, 3, digest="sha256:" + "0" * 64),
        {("damage", "DigestMismatch"), ("trace", "ObjectRewritten")},
    ),
    "an unsigned certificate": (
        lambda store: store.create("pets/certificates/00000001/00000002.json", b"{}"),
        {("trace", "NotCertified")},
    ),
    "a certificate by another key": (
        lambda store: sign_by_another(store),
        {("trace", "NotCertified")},
    ),
    "certificates of no version": (
        lambda store: store.create("pets/certificates/00000009/00000001.json", b"{}"),
        {("damage", "VersionMissing")},
    ),
    "a foreign object": (lambda store: store.create("pets/notes.txt", b"hello"), {("trace", "ForeignObject")}),
    "a foreign object in a log": (
        lambda store: store.create("pets/channels/prod/notes.txt", b"hello"),
        {("trace", "ForeignObject")},
    ),
    "an object that is no move where the next one goes": (
        lambda store: store.create(PROD.format(4), b"{}"),
        {("trace", "MoveMalformed")},
    ),
    "a move that does not continue the chain": (
        lambda store: store.create(PROD.format(4), chained(store, 4, "0" * 64)),
        {("damage", "HistoryBroken")},
    ),
    "a move far behind the last": (
        lambda store: store.create(PROD.format(99_999_999), chained(store, 99_999_999, "0" * 64)),
        {("damage", "HistoryBroken")},
    ),
    "an object far behind the last version": (
        lambda store: store.create("pets/versions/99999999.json", b"{}"),
        {("damage", "VersionMalformed")},
    ),
    "a decision that leaves numbers out": (
        lambda store: store.create("pets/certificates/00000001/00000009.json", b"{}"),
        {("trace", "NotCertified"), ("damage", "HistoryBroken")},
    ),
}  # fmt: skip


def sign_by_another(store: PrunableStore) -> None:
    Certificates(store, "pets").sign(
        Catalog(store, "pets").version(1),
        decision="revoked", signer=MemorySigner(), by="eve", report_sha256=None, expires_at=None, note="",
    )  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_named(registry: PrunableStore, damage: str) -> None:
    harm, named = DAMAGES[damage]
    harm(registry)
    inspection = look(registry)
    assert found(inspection) == named
    assert all(finding.where and finding.error.next for finding in inspection.findings)


def test_a_certificate_of_a_version_that_is_not_there_is_damage(registry: PrunableStore) -> None:
    version = replace(Catalog(registry, "pets").version(2), number=3)
    Certificates(registry, "pets").sign(
        version, decision="certified", signer=SIGNER, by="vera", report_sha256=None, expires_at=NOW, note=""
    )
    (damage,) = look(registry).findings
    assert (damage.severity, damage.error.outcome) == (Severity.DAMAGE, "VersionMissing")
    assert "version 3 of pets" in str(damage.error)


def test_only_a_deep_look_reads_the_bytes(registry: PrunableStore) -> None:
    replaced(registry, blob(b"graph"), b"grape")
    assert ("damage", "FileCorrupted") not in found(look(registry, deep=False))


def test_what_the_collector_removed_and_a_publisher_sent_again_is_no_trace(registry: PrunableStore) -> None:
    key = blob(b"left")
    registry.create(key, b"left")
    registry.delete(key)
    assert look(registry).sound
    registry.create(key, b"left")
    assert look(registry).sound


def test_one_channel_can_be_looked_at_alone(registry: PrunableStore) -> None:
    seen = Inspection()
    assert inspect_channel(registry, "pets", "prod", None, seen).moves == 3
    assert seen.sound
    registry.delete(PROD.format(3))
    assert inspect_channel(registry, "pets", "prod", None, seen).moves == 2
    assert [(finding.severity, finding.where) for finding in seen.findings] == [(Severity.TRACE, PROD.format(3))]


class Overtaken(MemoryStore):
    """Somebody publishes, and moves a channel, as soon as this store was listed once."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Callable[[PrunableStore], None]] = []

    def stats(self, prefix: str) -> Iterator[Stored]:
        yield from super().stats(prefix)
        acts, self.meanwhile = self.meanwhile, []
        for act in acts:
            act(self)


def test_what_is_published_and_promoted_while_it_looks_is_no_damage(files: dict[str, Path], tmp_path: Path) -> None:
    def publish(store: PrunableStore) -> None:
        (tmp_path / "new").write_bytes(b"a file that was not listed")
        new = {**files, "new": tmp_path / "new"}
        version = Catalog(store, "pets").publish(new, labels=["cat"], metrics={}, lineage={"run": "r-2"})
        Channel(store, "pets", "prod").move(version, by="mia", why="")

    store = Overtaken()
    first = Catalog(store, "pets").publish(files, labels=["cat"], metrics={}, lineage={"run": "r-1"})
    Channel(store, "pets", "prod").move(first, by="mia", why="")
    store.meanwhile = [publish]
    assert look(store).sound
    assert Catalog(store, "pets").numbers() == [1, 2]


def test_what_is_no_entry_of_a_log_is_a_trace_at_its_key(registry: PrunableStore) -> None:
    keys = {experiment_key("pets", "prod", 1), PROD.format(4)}
    for key in keys:
        registry.create(key, b"junk")
    findings = look(registry).findings
    assert {(finding.severity, finding.where) for finding in findings} == {(Severity.TRACE, key) for key in keys}
    assert {finding.error.outcome for finding in findings} == {"ExperimentMalformed", "MoveMalformed"}


def test_a_log_that_is_broken_is_damage_of_that_log(registry: PrunableStore) -> None:
    registry.delete(PROD.format(2))
    (damage,) = [finding for finding in look(registry).findings if finding.severity is Severity.DAMAGE]
    assert damage.where == "channel prod"
    assert "channel prod" in damage.error.expected + damage.error.actual


def test_a_deep_look_tells_its_progress_and_names_the_blob_its_file_and_both_hashes(registry: PrunableStore) -> None:
    replaced(registry, blob(b"graph"), b"grape")
    steps: list[tuple[int, int]] = []
    seen = inspect(registry, "pets", verifier=None, deep=True, progress=lambda done, of: steps.append((done, of)))
    assert steps == [(number, seen.blobs) for number in range(1, seen.blobs + 1)]
    (damage,) = [finding for finding in seen.findings if finding.severity is Severity.DAMAGE]
    assert damage.where == blob(b"graph")
    assert sha256_hex(b"graph") in damage.error.expected
    assert sha256_hex(b"grape") in damage.error.actual
    assert ".onnx" in str(damage.error)
