"""Whatever is written is read again: each writer of stored records against the reader that others have.

What cannot be read is refused by its writer, with an outcome that petpark names.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from camera.event import Event, EventMalformed
from petpark.search.table import Row, State, Table
from registry.certificates.certificate import Certificates
from registry.channels.channel import Channel
from registry.channels.experiment import Experiments
from registry.channels.experiment_rule import Evidence, Rule
from registry.encoding import canonical, parse_canonical
from registry.errors import RegistryError
from registry.store.memory_store import MemoryStore
from registry.version import StoredFile, Version
from serving.auth.key_record import ApiKey, KeyScope, RecordMalformed
from tests.registry.memory_keys import MemorySigner, MemoryVerifier
from training.dataset.changes import Change, Ruling, Subject, history, record_ingestion
from training.dataset.manifest import Manifest, Photo, Split, load_manifest, store_manifest
from training.errors import TrainingError
from training.job import EpochRecord, written
from training.quality.stored import record_skipped, recorded_skipped
from training.search.choice import Answers
from training.search.study import Cancellation, Trial

NOW = datetime(2026, 11, 30, tzinfo=UTC)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64) | st.text(max_size=3)
# Lone surrogates too: names of files and arguments of commands may have them.
words = st.text(st.characters(exclude_categories=[]), max_size=5) | st.sampled_from(["\ud800", "\0", " "])
counts = st.integers(-1, 2**60)
numbers = st.floats(-1e6, 1e6) | st.integers(-1, 5) | st.sampled_from([float("nan"), float("inf"), -float("inf")])


@given(hashes, hashes | st.none(), words, words)
def test_an_ingestion_that_is_recorded_is_in_the_history(dataset: str, parent: str | None, by: str, why: str) -> None:
    store = MemoryStore()
    with suppress(TrainingError):
        record_ingestion(store, dataset, parent=parent, by=by, why=why, now=NOW)
    assert len(history(store, dataset)) == len(list(store.keys("")))


@given(hashes, words, words, words, hashes)
def test_a_change_is_read_as_it_was_written(dataset: str, by: str, why: str, key: str, photo: str) -> None:
    change = Change(
        ruling=Ruling.RELABEL,
        dataset=dataset,
        parent=dataset,
        by=by,
        why=why,
        at="2026",
        becomes="cat",
        photos=(Subject(key=key, sha256=photo, label="dog"),),
    )
    with suppress(TrainingError):
        assert Change.from_bytes(change.to_bytes()) == change


@given(hashes, words, st.lists(st.tuples(words, words), max_size=3))
def test_what_an_ingestion_left_out_is_read_as_it_was_recorded(
    dataset: str, source: str, skipped: list[tuple[str, str]]
) -> None:
    store = MemoryStore()
    with suppress(TrainingError):
        record_skipped(store, dataset, source=source, skipped=skipped, at="2026")
        sayable = [tuple(word.encode(errors="backslashreplace").decode() for word in pair) for pair in skipped]
        assert recorded_skipped(store, dataset) == sayable
    if not list(store.keys("")):
        assert recorded_skipped(store, dataset) is None


@given(
    st.builds(
        Photo,
        key=words,
        sha256=hashes,
        width=counts,
        height=counts,
        label=words,
        split=st.sampled_from(Split),
        group=words,
        captured_at=st.none() | words,
        perceptual_hash=st.text("0123456789abcdef", min_size=16, max_size=16),
        brightness=numbers,
        sharpness=numbers,
    )
)
def test_a_manifest_is_stored_only_if_it_can_be_loaded(photo: Photo) -> None:
    store = MemoryStore()
    manifest = Manifest.of([photo])
    with suppress(TrainingError):
        store_manifest(store, manifest)
    for key in store.keys(""):
        assert load_manifest(store, key.removeprefix("datasets/").removesuffix(".jsonl")) == manifest


@given(words, hashes, numbers, counts, st.sets(st.sampled_from(KeyScope)), st.none() | st.timedeltas())
def test_a_key_that_can_be_is_read_as_it_was_written(
    name: str, digest: str, rate: float, burst: int, scopes: set[KeyScope], lifetime: timedelta | None
) -> None:
    with suppress(RecordMalformed, OverflowError):
        key = ApiKey(
            name=name,
            hash=digest,
            rate=rate,
            burst=burst,
            created=NOW,
            expires=None if lifetime is None else NOW + lifetime,
            scopes=frozenset(scopes),
        )
        read = ApiKey.from_dict(name, parse_canonical(canonical(key.to_dict())).rest())
        assert (read.hash, read.rate, read.burst, read.scopes) == (key.hash, key.rate, key.burst, key.scopes)
        if key.expires is not None:
            assert read.expires is not None
            assert abs(read.expires - key.expires) < timedelta(seconds=1)


@given(
    st.one_of(
        st.builds(Trial, number=counts, rung=counts, parent=st.none() | counts, values=st.dictionaries(words, words)),
        st.builds(Cancellation, by=words | st.just("arn:aws:iam::123456789012:user/a"), why=words, at=words),
        st.builds(
            Answers,
            labels=st.lists(words, max_size=2).map(tuple),
            truth=st.lists(counts, max_size=2).map(tuple),
            answered=st.lists(counts, max_size=2).map(tuple),
        ),
        st.builds(
            EpochRecord,
            epoch=counts,
            of=counts,
            train_loss=numbers,
            loss=numbers,
            accuracy=numbers,
            learning_rate=numbers,
            seconds=numbers,
            usage=st.dictionaries(words, numbers, max_size=2),
        ),
    )
)
def test_a_record_of_a_job_or_a_study_is_read_as_it_was_written(
    record: Trial | Cancellation | Answers | EpochRecord,
) -> None:
    with suppress(TrainingError):
        assert type(record).from_json(written(record)) == record


@given(words, numbers, st.sampled_from(State))
def test_a_table_of_a_study_is_read_as_it_was_written(text: str, number: float, state: State) -> None:
    row = Row(
        trial=1,
        job=text,
        rung=1,
        parent=None,
        settings={text: text},
        epochs=1,
        state=state,
        launches=1,
        seconds=number,
        usd=number,
    )
    table = Table(
        study=text,
        metric=text,
        dataset=text,
        requested_by=text,
        created_at=text,
        budget={"max_hours": number},
        rows=(row,),
        seconds=number,
        usd=None,
        best=None,
        second=None,
        luck=None,
    )
    with suppress(TrainingError):
        assert asdict(Table.from_json(written(table))) == asdict(table)


VERSION = Version(
    model="pets",
    number=1,
    created_at="2026-01-01T00:00:00.000000Z",
    files=(StoredFile(name="model.onnx", sha256="a" * 64, bytes=1),),
    labels=("cat", "dog"),
    metrics={"accuracy": 0.5},
    lineage={"run": "r"},
)
OTHER = replace(VERSION, number=2)
SIGNER = MemorySigner()
times = st.none() | st.datetimes(timezones=st.none() | st.just(UTC)) | st.just(NOW + timedelta(days=1))


@given(
    decision=st.sampled_from(["certified", "refused", "revoked"]) | words,
    by=words,
    note=words,
    report=hashes | st.none(),
    expires=times,
    despite=st.lists(words, max_size=2).map(tuple),
)
def test_a_decision_that_is_signed_is_read_as_it_was_signed(
    decision: Any, by: str, note: str, report: str | None, expires: datetime | None, despite: tuple[str, ...]
) -> None:
    store = MemoryStore()
    certificates = Certificates(store, "pets")
    with suppress(RegistryError, ValueError):
        signed = certificates.sign(
            VERSION,
            decision=decision,
            signer=SIGNER,
            by=by,
            report_sha256=report,
            expires_at=expires,
            note=note,
            despite=despite,
        )
        assert Certificates(store, "pets").look(VERSION, MemoryVerifier(SIGNER)).latest == signed
    assert len(Certificates(store, "pets").of(VERSION)) == len(list(store.keys("")))


@given(by=words, why=words)
def test_a_move_that_is_made_is_read_as_it_was_made(by: str, why: str) -> None:
    store = MemoryStore()
    with suppress(RegistryError, ValueError):
        made = [Channel(store, "pets", "prod").move(version, by=by, why=why) for version in (VERSION, OTHER)]
        assert Channel(store, "pets", "prod").history() == made
    assert len(Channel(store, "pets", "prod").history()) == len(list(store.keys("")))


@given(
    by=words, why=words, mode=st.sampled_from(["shadow", "canary"]) | words, share=numbers, until=times, data=st.data()
)
def test_an_experiment_that_is_begun_or_ended_is_read_as_it_was_written(
    by: str, why: str, mode: Any, share: float, until: datetime | None, data: st.DataObject
) -> None:
    store = MemoryStore()
    champion = Channel(store, "pets", "prod").move(VERSION, by="mia", why="first")
    log = Experiments(store, "pets", "prod", clock=lambda: NOW)
    written_down: list[object] = []
    with suppress(RegistryError, ValueError):
        limits: dict[str, Any] = {
            name: data.draw(numbers if name != "least" else counts) for name in Rule.__dataclass_fields__
        }
        rule = Rule(**limits)
        begun = log.start(
            OTHER, champion, mode=mode, share=share, rule=rule, until=until or NOW + timedelta(days=1), by=by, why=why
        )
        written_down.append(begun)
        reasons = data.draw(st.lists(words, max_size=2).map(tuple))
        written_down.append(log.conclude(begun, outcome="stopped", reasons=reasons, evidence=Evidence(), by=by))
    assert Experiments(store, "pets", "prod").history() == written_down
    assert len(list(store.keys(""))) == 1 + len(written_down)


@given(
    st.builds(
        Event,
        id=words,
        kind=st.sampled_from(["began", "ended"]) | words,
        visit=words,
        camera=words,
        label=words,
        score=numbers,
        at=st.just("2026-11-30T00:00:00.000000Z") | words,
        seconds=numbers,
        why=words | st.none(),
        clock=words,
        model=st.dictionaries(words, words | numbers, max_size=2),
    )
)
def test_an_event_of_a_camera_is_read_as_it_was_written(event: Event) -> None:
    with suppress(EventMalformed):
        assert Event.from_json(event.to_json()) == event
