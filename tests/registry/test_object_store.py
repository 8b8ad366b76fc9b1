"""What every object store must do, whichever it is."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.encoding import sha256_hex
from registry.errors import FileChanged, ObjectExists, ObjectMissing
from registry.object_store import MemoryStore, ObjectStore


def test_an_object_reads_back_as_it_was_created(store: ObjectStore) -> None:
    store.create("a/b", b"\x00bytes")
    assert store.get("a/b") == b"\x00bytes"
    assert store.size("a/b") == 6


def test_an_object_is_written_once(store: ObjectStore, tmp_path: Path) -> None:
    store.create("key", b"first")
    with pytest.raises(ObjectExists):
        store.create("key", b"second")
    (tmp_path / "file").write_bytes(b"third")
    with pytest.raises(ObjectExists):
        store.create_from("key", tmp_path / "file")
    assert store.get("key") == b"first"


def test_a_missing_object_has_a_name_for_it(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing):
        store.get("nothing")
    with pytest.raises(ObjectMissing):
        store.download("nothing", tmp_path / "file")
    assert store.size("nothing") is None
    assert list(tmp_path.iterdir()) == []


def test_an_empty_object_is_an_object(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    store.create_from("empty", tmp_path / "empty", sha256=sha256_hex(b""))
    assert store.get("empty") == b""
    assert store.size("empty") == 0


@pytest.mark.parametrize("size", [1, 16 * 2**20, 16 * 2**20 + 1, 33 * 2**20])
def test_files_of_any_size_go_up_and_come_down(store: ObjectStore, tmp_path: Path, size: int) -> None:
    content = os.urandom(1024) * (size // 1024) + b"x" * (size % 1024)
    (tmp_path / "up").write_bytes(content)
    store.create_from("file", tmp_path / "up", sha256=sha256_hex(content))
    store.download("file", tmp_path / "down")
    assert store.size("file") == size
    assert sha256_hex((tmp_path / "down").read_bytes()) == sha256_hex(content)


@pytest.mark.parametrize("size", [1, 17 * 2**20])
def test_a_file_that_changed_is_not_stored(store: ObjectStore, tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(bytes(size))
    with pytest.raises(FileChanged):
        store.create_from("file", tmp_path / "file", sha256=sha256_hex(b"as it was"))
    assert store.size("file") is None


def test_keys_come_in_order_from_behind_any_point(store: ObjectStore) -> None:
    names = ["a/1", "a/10", "a/2", "a/B", "a/ü", "b/1"]
    for name in reversed(names):
        store.create(name, b"")
    assert list(store.keys("a/")) == names[:5]
    assert list(store.keys("a/", after="a/10")) == ["a/2", "a/B", "a/ü"]
    assert list(store.keys("a/", after="a/zzz/")) == ["a/ü"]
    assert list(store.keys("c/")) == []
    assert list(store.keys("", after="a/ü")) == ["b/1"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
