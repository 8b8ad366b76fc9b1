"""A publisher of files on loopback, and what `fetch` does with one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from petpark.downloads.fetch import Timeouts, fetch, open_client
from tests.loopback_publisher import Publisher, publisher

CONTENT = bytes(range(256)) * 4096  # 1 MiB: several chunks
SHA = hashlib.sha256(CONTENT).hexdigest()
NAME = "archive.zip"


@pytest.fixture
def server() -> Iterator[Publisher]:
    with publisher() as made:
        made.files[f"/{NAME}"] = CONTENT
        yield made


def no_pause(_seconds: float) -> None:
    pass


def get(
    server: Publisher | str,
    folder: Path,
    *,
    client: httpx.Client | None = None,
    read: float = 5.0,
    attempts: int = 60,
    pause: Callable[[float], None] = no_pause,
) -> str:
    """Fetch without pauses."""
    base = server if isinstance(server, str) else server.url
    return fetch(
        f"{base}/{NAME}",
        folder / NAME,
        accepted=frozenset({SHA}),
        limit=2 * len(CONTENT),
        report=lambda _done, _total: None,
        timeouts=Timeouts(pause=pause, read=read, attempts=attempts),
        client=client,
    )


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """One for all examples: opening one reads the system's certificates."""
    with open_client(Timeouts(read=0.5)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
