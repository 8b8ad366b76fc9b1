"""What is hashed beside the write is what was written, in bounded memory."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.encoding import sha256_hex
from registry.store.s3_store import S3Store
from registry.store.side_hash import CHUNKS_AHEAD, WORTH_A_THREAD, SideHash, hash_of

TIMEOUT_SECONDS = 10.0
"""Seconds until a test that would wait forever fails."""


class HeldHash:
    """A hash whose `update` waits until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.seen = hashlib.sha256()

    def update(self, chunk: bytes, /) -> None:
        assert self.let_go.wait(TIMEOUT_SECONDS)
        self.seen.update(chunk)

    def hexdigest(self) -> str:
        return self.seen.hexdigest()


@given(chunks=st.lists(st.binary(max_size=5000)))
def test_chunks_are_hashed_in_their_order(chunks: list[bytes]) -> None:
    with hash_of(WORTH_A_THREAD) as seen:
        for chunk in chunks:
            seen.update(chunk)
        assert seen.hexdigest() == sha256_hex(b"".join(chunks))


def test_few_chunks_wait_for_their_hash() -> None:
    with ThreadPoolExecutor(1) as pool:
        seen = SideHash(pool)
        for _ in range(50):
            seen.update(b"x")
            assert len(seen._ahead) <= CHUNKS_AHEAD
        assert seen.hexdigest() == sha256_hex(b"x" * 50)


def test_a_hash_that_fails_is_raised_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(_: bytes) -> None:
        raise MemoryError

    with hash_of(WORTH_A_THREAD) as seen:
        monkeypatch.setattr(seen, "_seen", type("Broken", (), {"update": staticmethod(out_of_memory)}))
        seen.update(b"x")
        with pytest.raises(MemoryError):
            seen.hexdigest()


@pytest.mark.parametrize("kind", ["new_s3_store", "new_crt_store"])
def test_a_download_is_written_while_it_is_hashed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_store: Callable[[], S3Store] = request.getfixturevalue(kind)
    store, content = new_store(), bytes(WORTH_A_THREAD)
    store.create("key", content)
    held = HeldHash()
    path = tmp_path / "down"
    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr("registry.store.side_hash.hashlib", SimpleNamespace(sha256=lambda: held))
        patch.setattr("registry.store.s3_store.removed_on_error", lambda path: NoticedFile(path, held.let_go))
        down = pool.submit(store.download, "key", path, size=len(content))
        assert down.result(2 * TIMEOUT_SECONDS) == sha256_hex(content)
    assert path.read_bytes() == content


class NoticedFile:
    """A file to write that lets the hash go when something was written."""

    def __init__(self, path: Path, written: threading.Event) -> None:
        self._file, self._written = path.open("wb"), written

    def __enter__(self) -> "NoticedFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._written.set()
