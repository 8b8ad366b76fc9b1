"""What is not the store's answer is believed in nothing: a portal, a cache that lags, a proxy that cuts or changes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from registry.certificates.certificate import Certificates
from registry.channels.channel import Channel
from registry.errors import (
    ChannelMoved,
    DecidedMeanwhile,
    ForeignAnswer,
    LogShorter,
    RegistryError,
    StoreUnable,
    StoreUnavailable,
)
from registry.layout.model_store import certificate_key, certificates_prefix, channel_entry_key
from registry.store.s3_store import S3Store
from registry.version import Version
from registry.versions.catalog import Catalog
from tests.registry.conftest import Answer, S3Server, asked
from tests.registry.memory_keys import MemorySigner, MemoryVerifier

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOW = datetime.now(UTC)
SIGNER = MemorySigner()
VERIFIER = MemoryVerifier(SIGNER)

PORTAL = Answer()
XHTML = Answer(body=b'<html xmlns="http://www.w3.org/1999/xhtml"><body><Key>sign-in</Key></body></html>')
EMPTY = Answer(body=b"")
MISSING = Answer(status="404 Not Found")
REFUSED = Answer(status="403 Forbidden")
ELSEWHERE = Answer(status="302 Found", headers=(("Location", "http://portal.example/"),))
FOREIGN = {
    "a portal": PORTAL, "a page that is XML": XHTML, "nothing": EMPTY, "a page that says 404": MISSING,
    "a page that says 403": REFUSED, "a page that leads elsewhere": ELSEWHERE,
}  # fmt: skip


@pytest.fixture(autouse=True)
def instead(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`instead(answer)` makes something else answer from here on; `instead()` nobody."""
    monkeypatch.setattr("registry.store.s3_store.PAUSES", (0.0,) * 2)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)

    def say(answer: Answer | Callable[[dict[str, Any]], Answer | None] | None = None) -> None:
        s3_server.instead = answer if callable(answer) else lambda _: answer

    yield say
    say()


@pytest.fixture
def version(s3_store: S3Store, tmp_path: Path) -> Version:
    """Published, certified, in force on prod."""
    (tmp_path / "file").write_bytes(b"x")
    found = Catalog(s3_store, "pets").publish({"file": tmp_path / "file"}, labels=[], metrics={}, lineage={})
    decide(s3_store, found)
    Channel(s3_store, "pets", "prod").move(found, by="mia", why="new")
    return found


def decide(store: S3Store, version: Version, decision: Any = "certified") -> None:
    Certificates(store, "pets").sign(
        version,
        decision=decision,
        signer=SIGNER,
        by="vera",
        report_sha256=None,
        expires_at=NOW + timedelta(1),
        note="x",
    )


@pytest.mark.parametrize("answer", FOREIGN.values(), ids=FOREIGN)
def test_no_call_succeeds_or_finds_nothing_by_a_foreign_answer(
    s3_store: S3Store, instead: Callable[..., None], answer: Answer, tmp_path: Path
) -> None:
    s3_store.create("log/1", b"there")
    large = tmp_path / "large"
    large.write_bytes(bytes(17 * 2**20))
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: s3_store.create("log/2", b"x"),
        "create from": lambda: s3_store.create_from("log/3", large),
        "get": lambda: s3_store.get("log/1"),
        "get what is not there": lambda: s3_store.get("log/9"),
        "download": lambda: s3_store.download("log/1", tmp_path / "down"),
        "keys": lambda: list(s3_store.keys("log/")),
        "stats": lambda: list(s3_store.stats("log/")),
        "revisions": lambda: list(s3_store.revisions("log/")),
        "delete": lambda: s3_store.delete("log/1"),
    }
    if answer not in (MISSING, REFUSED):  # an answer to HEAD has no document by which to tell
        calls |= {"stat": lambda: s3_store.stat("log/1"), "chunks": lambda: list(s3_store.chunks("log/1"))}
    instead(answer)
    for name, call in calls.items():
        with pytest.raises(StoreUnavailable):
            pytest.fail(f"{name}: {call()}")
    instead()
    assert list(s3_store.keys("log/")) == ["log/1"]


BARE = {"a 404 without a document": Answer(status="404 Not Found", body=b"")}


@pytest.mark.parametrize("answer", (FOREIGN | BARE).values(), ids=FOREIGN | BARE)
def test_the_transfer_library_believes_no_foreign_answer_either(
    new_crt_store: Callable[[], S3Store], instead: Callable[..., None], answer: Answer, tmp_path: Path
) -> None:
    made = new_crt_store()
    store = S3Store(made._client, made._bucket, transfer=made._transfer, transfer_reads=True)
    store.create("there", b"x")
    instead(answer)
    for call in (
        lambda: store.create("key", b"x"),
        lambda: store.download("there", tmp_path / "down"),
        lambda: store.get("there"),
        lambda: store.get("nothing"),
    ):
        with pytest.raises(StoreUnavailable):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answer", FOREIGN.values(), ids=FOREIGN)
def test_nothing_is_decided_by_a_foreign_answer(
    s3_store: S3Store, version: Version, instead: Callable[..., None], answer: Answer
) -> None:
    """What a running endpoint asks, and what people do, in the middle of which a portal comes up."""
    certificates, channel = Certificates(s3_store, "pets"), Channel(s3_store, "pets", "prod")
    head, look = channel.head(), certificates.look(version, VERIFIER)
    instead(answer)
    for call in (
        channel.head,
        lambda: certificates.decided_after(version, look.next_number - 1),
        lambda: certificates.look(version, VERIFIER),
        lambda: channel.move(version, by="mia", why="again"),
        lambda: decide(s3_store, version, "revoked"),
        lambda: Channel(s3_store, "pets", "prod").head(),
        lambda: Catalog(s3_store, "pets").version(1),
    ):
        with pytest.raises(StoreUnavailable):
            call()
    instead()
    assert channel.head() == head
    assert certificates.look(version, VERIFIER) == look


def listings(change: Callable[[Answer], Answer], app: Any) -> Callable[[dict[str, Any]], Answer | None]:
    return lambda environ: change(asked(app, environ)) if "list-type" in environ.get("QUERY_STRING", "") else None


def empty(bucket: str, prefix: str) -> Answer:
    listing = f"<ListBucketResult><Name>{bucket}</Name><Prefix>{prefix}</Prefix><IsTruncated>false</IsTruncated>"
    return Answer(body=f"{listing}<KeyCount>0</KeyCount></ListBucketResult>".encode())


def test_an_empty_listing_of_decisions_withdraws_nothing(
    s3_store: S3Store, version: Version, instead: Callable[..., None], s3_server: S3Server
) -> None:
    certificates = Certificates(s3_store, "pets")
    certificates.look(version, VERIFIER)
    nothing = empty(s3_store._bucket, certificates_prefix("pets", 1))
    instead(listings(lambda _: nothing, s3_server.app))
    with pytest.raises(LogShorter):
        certificates.look(version, VERIFIER)


def test_writers_are_not_misled_by_an_empty_listing(
    s3_store: S3Store, version: Version, instead: Callable[..., None], s3_server: S3Server
) -> None:
    decide(s3_store, version, "revoked")

    def say(environ: dict[str, Any]) -> Answer | None:
        query = environ.get("QUERY_STRING", "")
        if "list-type" not in query:
            return None
        kind = "channels/prod/" if "channels" in query else "certificates/00000001/"
        return empty(s3_store._bucket, f"pets/{kind}")

    instead(say)
    with pytest.raises(ChannelMoved):
        Channel(s3_store, "pets", "prod").move(version, by="tom", why="first?")
    with pytest.raises(DecidedMeanwhile):
        decide(s3_store, version)
    instead()
    assert [move.by for move in Channel(s3_store, "pets", "prod").history()] == ["mia"]


def test_a_page_that_leads_elsewhere_gets_two_requests_for_each_attempt(
    s3_store: S3Store, instead: Callable[..., None]
) -> None:
    requests = list[str]()

    def say(environ: dict[str, Any]) -> Answer:
        requests.append(environ["REQUEST_METHOD"])
        return ELSEWHERE

    instead(say)
    with pytest.raises(StoreUnavailable):
        s3_store.get("key")
    assert requests == ["GET", "HEAD"] * (len(requests) // 2)
    assert len(requests) <= 2 * 3  # pauses of `instead`, and the first attempt


def test_the_listing_of_another_bucket_or_prefix_is_no_listing(s3_store: S3Store, instead: Callable[..., None]) -> None:
    for answer in (empty("other", "log/"), empty(s3_store._bucket, "")):
        instead(answer)
        with pytest.raises(ForeignAnswer, match="no listing"):
            list(s3_store.keys("log/"))


@pytest.mark.parametrize(
    "change",
    [lambda body: body[:-5], lambda body: body[:-1] + b"!", lambda _: PORTAL.body],
    ids=["cut", "other", "page"],
)
@pytest.mark.parametrize("by", ["botocore", "the transfer library"])
def test_bytes_that_were_changed_on_the_way_are_read_as_nothing(
    s3_store: S3Store,
    new_crt_store: Callable[[], S3Store],
    version: Version,
    instead: Callable[..., None],
    s3_server: S3Server,
    change: Any,
    by: str,
) -> None:
    """Their length is right for what they are; the checksum that the store kept is not."""
    written = s3_store  # by botocore: moto keeps no checksum of what the transfer library writes
    if by == "the transfer library":
        transfer = new_crt_store()._transfer
        s3_store = S3Store(s3_store._client, s3_store._bucket, transfer=transfer, transfer_reads=True)

    def say(environ: dict[str, Any]) -> Answer | None:
        if environ["REQUEST_METHOD"] != "GET" or "list-type" in environ.get("QUERY_STRING", ""):
            return None
        answer = asked(s3_server.app, environ)
        return replace(answer, body=change(answer.body))

    channel = Channel(s3_store, "pets", "prod")
    assert channel.head() is not None
    Channel(written, "pets", "prod").move(version, by="mia", why="again")
    instead(say)
    for call in (
        channel.head,
        lambda: Channel(s3_store, "pets", "prod").head(),
        lambda: s3_store.get(channel_entry_key("pets", "prod", 1)),
    ):
        with pytest.raises(StoreUnavailable):
            call()
    instead()
    head = channel.head()
    assert head is not None
    assert head.number == 2
    assert channel.passed_over == {}


def test_a_store_that_cannot_write_conditionally_is_named(s3_store: S3Store, instead: Callable[..., None]) -> None:
    document = b"<Error><Code>NotImplemented</Code><Message>A header you provided implies ...</Message></Error>"
    instead(Answer(status="501 Not Implemented", headers=(("Content-Type", "application/xml"),), body=document))
    with pytest.raises(StoreUnable, match="This store cannot hold a registry"):
        s3_store.create("key", b"x")


@pytest.mark.parametrize("date", ["yesterday", "Mon, 99 Nov 2026 02:05:39 GMT", "2026-11-30T02:05:39Z"])
def test_a_date_that_cannot_be_read_is_named(s3_store: S3Store, s3: "S3Client", date: str) -> None:
    s3_store.create("key", b"x")

    def say(parsed: dict[str, Any], **_: object) -> None:
        parsed["ResponseMetadata"]["HTTPHeaders"]["date"] = date

    s3.meta.events.register("after-call.s3", say)
    try:
        for call in (lambda: s3_store.get("key"), lambda: s3_store.stat("key"), lambda: list(s3_store.keys("k"))):
            with pytest.raises(ForeignAnswer, match="not a date"):
                call()
    finally:
        s3.meta.events.unregister("after-call.s3", say)


def test_a_certificate_that_a_foreign_answer_hides_is_not_decided_about(
    s3_store: S3Store, version: Version, instead: Callable[..., None]
) -> None:
    place = certificate_key("pets", 1, 1)
    instead(lambda environ: PORTAL if environ["PATH_INFO"].endswith(place) else None)
    with pytest.raises(RegistryError) as refused:
        Certificates(s3_store, "pets").require(version, VERIFIER, now=NOW)
    assert refused.value.outcome == "ForeignAnswer"
