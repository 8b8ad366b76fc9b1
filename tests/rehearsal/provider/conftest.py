"""A publisher of a provider that is a script: it shakes hands as Terraform's providers do, and serves nothing."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from petpark.downloads.fetch import Timeouts
from petpark.downloads.install import Free, free_space
from petpark.downloads.pins import ProviderPins, machine
from petpark.downloads.unpack import dirhash, unpack
from rehearsal.provider.fetching import MIRROR, archive_name, fetch_provider
from rehearsal.provider.mirrors import newest_in
from tests.loopback_publisher import Publisher, publisher, zipped

VERSION = "5.100.0"
BINARY = f"terraform-provider-aws_v{VERSION}_x5"
SCRIPT = b"#!/bin/sh\necho '1|5|unix|/nowhere|grpc|'\nexec sleep 600\n"
GOOD = {BINARY: SCRIPT, "LICENSE.txt": b"MPL"}
ROOT = Path(__file__).resolve().parents[3]
_DRIVER = "import sys; from tests.rehearsal.provider.conftest import drive; drive(*sys.argv[1:])"


@dataclass
class Shop:
    """A loopback publisher of the provider, and the folder that set-up installs into."""

    server: Publisher
    tools: Path
    pins: ProviderPins

    @property
    def path(self) -> str:
        """The archive's path at the publisher."""
        return f"/terraform-provider-aws/{VERSION}/{archive_name(self.pins)}"

    def sell(self, content: bytes, *, h1: str | None = None) -> None:
        """Serve `content` as the archive, and pin it."""
        self.server.files[self.path] = content
        here = {"_".join(machine()): h1} if h1 else {}
        self.pins = replace(self.pins, sha256=frozenset({hashlib.sha256(content).hexdigest()}), h1=here)

    def fetch(self, *, free: Free = free_space, **environment: str) -> Path:
        """Fetch here, without pauses."""
        return fetch_provider(
            lambda _done, _total: None,
            waiting=lambda: None,
            tools=self.tools,
            environment={"HOME": str(self.tools.parent)} | ({MIRROR: self.server.url} | environment),
            pins=self.pins,
            timeouts=Timeouts(pause=lambda _seconds: None, read=5.0),
            free=free,
        )

    def fetch_elsewhere(self) -> subprocess.Popen[str]:
        """Fetch in a child process, which prints `waiting` while another one fetches."""
        entry = {"version": VERSION, "sha256": sorted(self.pins.sha256), "h1": self.pins.h1}
        entry |= {"packed": self.pins.packed, "unpacked": self.pins.unpacked}
        return subprocess.Popen(
            [sys.executable, "-c", _DRIVER, str(self.tools), json.dumps(entry)],
            cwd=ROOT,
            env={**os.environ, MIRROR: self.server.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def usable(self) -> Path | None:
        """What `find_provider` would take."""
        return newest_in(self.tools)

    @property
    def left(self) -> list[str]:
        """The files in the folder of downloads, without the lock."""
        folder = self.tools / "downloads"
        return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock") if folder.exists() else []


def drive(tools: str, pins: str) -> None:
    """What `Shop.fetch_elsewhere` runs."""
    entry = json.loads(pins)
    print(
        fetch_provider(
            lambda _done, _total: None,
            waiting=lambda: print("waiting", flush=True),
            tools=Path(tools),
            pins=ProviderPins(**entry | {"sha256": frozenset(entry["sha256"])}),
        )
    )


def h1_of(content: bytes) -> str:
    """The hash of the file in the zip `content`."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "a.zip"
        archive.write_bytes(content)
        unpack(archive, Path(folder) / "inside", limit=10**9)
        return dirhash(Path(folder) / "inside")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A publisher that serves a good archive, whose hashes are pinned."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with publisher() as server:
        pins = ProviderPins(version=VERSION, sha256=frozenset(), h1={}, packed=100_000, unpacked=100_000)
        made = Shop(server=server, tools=tmp_path / ".tools", pins=pins)
        content = zipped(GOOD)
        made.sell(content, h1=h1_of(content))
        yield made
