"""What every object store must do, whichever it is."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.encoding import sha256_hex
from registry.errors import FileChanged, ObjectExists, ObjectMissing
from registry.store.memory_store import MemoryStore
from registry.store.object_info import Revision
from registry.store.object_store import ObjectStore, PrunableStore
from registry.store.transfer import REQUESTS_AT_ONCE
from tests.examples import examples


@pytest.fixture(params=["memory", "s3", "crt"])
def new_store(request: pytest.FixtureRequest) -> Callable[[], PrunableStore]:
    """All of them, S3 with and without AWS's transfer library."""
    return MemoryStore if request.param == "memory" else request.getfixturevalue(f"new_{request.param}_store")


def size_of(store: ObjectStore, key: str) -> int | None:
    found = store.stat(key)
    return found and found.bytes


def test_an_object_reads_back_as_it_was_created(store: ObjectStore) -> None:
    store.create("a/b", b"\x00bytes")
    assert store.get("a/b") == b"\x00bytes"
    assert size_of(store, "a/b") == 6
    found = store.stat("a/b")
    assert found is not None
    assert found.key == "a/b"


def test_an_object_is_written_once(store: ObjectStore, tmp_path: Path) -> None:
    store.create("key", b"first")
    with pytest.raises(ObjectExists, match="no object at key;"):
        store.create("key", b"second")
    (tmp_path / "file").write_bytes(b"third")
    with pytest.raises(ObjectExists, match="no object at key;"):
        store.create_from("key", tmp_path / "file")
    assert store.get("key") == b"first"


def test_of_many_objects_each_is_written_once_and_they_read_back_in_order(store: ObjectStore) -> None:
    names = [f"{number:03}" for number in range(2 * REQUESTS_AT_ONCE)]
    store.create("007", b"first")
    outcomes = list(store.create_each((name, name.encode()) for name in names))
    assert [name for name, outcome in zip(names, outcomes, strict=True) if outcome is not None] == ["007"]
    assert isinstance(outcomes[7], ObjectExists)
    assert list(store.get_each(names)) == [b"first" if name == "007" else name.encode() for name in names]
    reading = store.get_each(["000", "nothing", "001"])
    assert next(reading) == b"000"
    with pytest.raises(ObjectMissing):
        next(reading)


def test_a_missing_object_has_a_name_for_it(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing, match="an object at nothing;"):
        store.get("nothing")
    with pytest.raises(ObjectMissing, match="an object at nothing;"):
        store.download("nothing", tmp_path / "file")
    assert store.stat("nothing") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, 4 * 2**20, 9 * 2**20])
def test_an_object_comes_in_chunks_too(store: ObjectStore, size: int) -> None:
    body = os.urandom(size)
    store.create("key", body)
    chunks = list(store.chunks("key"))
    assert b"".join(chunks) == body
    assert all(0 < len(chunk) <= 4 * 2**20 for chunk in chunks)
    with pytest.raises(ObjectMissing):
        list(store.chunks("nothing"))


def test_an_empty_object_is_an_object(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    store.create_from("empty", tmp_path / "empty", sha256=sha256_hex(b""))
    assert store.get("empty") == b""
    assert size_of(store, "empty") == 0


@pytest.mark.parametrize("size", [1, 16 * 2**20, 16 * 2**20 + 1, 33 * 2**20])
def test_files_of_any_size_go_up_and_come_down(store: ObjectStore, tmp_path: Path, size: int) -> None:
    content = os.urandom(1024) * (size // 1024) + b"x" * (size % 1024)
    (tmp_path / "up").write_bytes(content)
    store.create_from("file", tmp_path / "up", sha256=sha256_hex(content))
    assert store.download("file", tmp_path / "down", size=size) == sha256_hex(content)
    assert size_of(store, "file") == size
    assert sha256_hex((tmp_path / "down").read_bytes()) == sha256_hex(content)


def test_a_large_object_goes_up_from_memory_too(store: ObjectStore) -> None:
    content = os.urandom(1024) * (17 * 1024)
    store.create("large", content)
    with pytest.raises(ObjectExists):
        store.create("large", content)
    assert sha256_hex(store.get("large")) == sha256_hex(content)


@pytest.mark.parametrize("size", [1, 17 * 2**20])
def test_a_file_that_changed_is_not_stored(store: ObjectStore, tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(bytes(size))
    with pytest.raises(FileChanged):
        store.create_from("file", tmp_path / "file", sha256=sha256_hex(b"as it was"))
    assert store.stat("file") is None


def test_keys_come_in_order_from_behind_any_point(store: ObjectStore) -> None:
    names = ["a/1", "a/10", "a/2", "a/B", "a/~", "b/1"]
    for name in reversed(names):
        store.create(name, b"")
    assert list(store.keys("a/")) == names[:5]
    assert list(store.keys("a/", after="a/10")) == ["a/2", "a/B", "a/~"]
    assert list(store.keys("a/", after="a/zzz/")) == ["a/~"]
    assert list(store.keys("c/")) == []
    assert list(store.keys("", after="a/~")) == ["b/1"]


def test_the_store_says_how_large_and_how_old_its_objects_are(store: ObjectStore) -> None:
    for name in ("a/2", "a/1", "b"):
        store.create(name, name.encode())
    found = list(store.stats("a/"))
    assert [(stored.key, stored.bytes) for stored in found] == [("a/1", 3), ("a/2", 3)]
    assert all(timedelta(seconds=-2) < stored.age < timedelta(minutes=1) for stored in found)


def test_what_is_deleted_is_gone_and_may_be_written_again(store: PrunableStore) -> None:
    store.create("a", b"first")
    store.delete("a")
    store.delete("a")
    assert store.stat("a") is None
    assert list(store.keys("")) == []
    store.create("a", b"second")
    assert store.get("a") == b"second"


def test_the_store_remembers_every_revision_the_newest_first(store: PrunableStore) -> None:
    store.create("b", b"once")
    store.create("a", b"first")
    store.delete("a")
    store.create("a", b"second")
    seen = [(revision.key, revision.latest, revision.deleted) for revision in store.revisions("")]
    assert seen[0] == ("a", True, False)
    assert sorted(seen[1:3]) == [("a", False, False), ("a", False, True)]
    assert seen[3:] == [("b", True, False)]
    store.delete("b")
    assert next(store.revisions("b")) == Revision(key="b", latest=True, deleted=True)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.sets(st.text("ab/", min_size=1, max_size=5)),
    prefix=st.text("ab/", max_size=2),
    after=st.text("ab/", max_size=3),
)
def test_memory_lists_exactly_the_keys_with_the_prefix_behind_the_point(
    keys: set[str], prefix: str, after: str
) -> None:
    store = MemoryStore()
    for key in keys:
        store.create(key, b"")
    assert list(store.keys(prefix, after=after)) == sorted(k for k in keys if k.startswith(prefix) and k > after)
