"""Which hashes an archive may have: the repository's list, and what was recorded at a first download."""

from __future__ import annotations

import json
import os
import platform
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from petpark.downloads import CHECKOUT
from petpark.downloads.errors import ArchiveRefused, PlatformUnsupported

PINS = CHECKOUT / "requirements" / "downloads.toml"
_FIRST_USE = "pins.json"


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A file to fetch. `sha256`: the accepted hashes (None: any); sizes are in bytes and roughly right.

    `urls` are tried in this order until one has the file.
    """

    name: str
    urls: tuple[str, ...]
    sha256: frozenset[str] | None
    packed: int
    unpacked: int


@dataclass(frozen=True, kw_only=True)
class ProviderPins:
    """What is pinned of the AWS provider; `h1` maps a platform to the hash of the unpacked archive (Go's dirhash)."""

    version: str
    sha256: frozenset[str]
    h1: dict[str, str]
    packed: int
    unpacked: int


def provider_pins(file: Path = PINS) -> ProviderPins:
    """The AWS provider's entry of the repository's list."""
    entry = tomllib.loads(file.read_text(encoding="utf-8"))["aws-provider"]
    return ProviderPins(**entry | {"sha256": frozenset(entry["sha256"])})


def pulumi_pins(file: Path = PINS) -> dict[str, str]:
    """File name to SHA-256 for the Pulumi CLI and its plugin, as far as the repository knows them."""
    return tomllib.loads(file.read_text(encoding="utf-8"))["pulumi"]["sha256"]


def first_use(name: str, tools: Path) -> str | None:
    """The SHA-256 that `name` had when it was first downloaded to `tools`."""
    return _recorded(tools).get(name)


def record(name: str, sha256: str, tools: Path) -> None:
    """Remember the hash of a first download; raises `ArchiveRefused` if another one is on record."""
    known = _recorded(tools)
    if known.setdefault(name, sha256) != sha256:
        raise changed(name, known[name], sha256)
    tools.mkdir(parents=True, exist_ok=True)
    fresh = tools / f"{_FIRST_USE}.{os.getpid()}"
    fresh.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    fresh.replace(tools / _FIRST_USE)


def changed(name: str, known: str, found: str) -> ArchiveRefused:
    """The refusal of a file whose hash differs from the pinned one."""
    return ArchiveRefused(
        f"{name} has the SHA-256 {found}, but {known} is on record; it was not installed.",
        next_step=f"Find out why the file changed. If it is right, correct {PINS.name} or .tools/{_FIRST_USE}.",
    )


def machine() -> tuple[str, str]:
    """What Go calls this machine: `("linux" | "darwin", "amd64" | "arm64")`; raises `PlatformUnsupported`."""
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform)
    processor = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(
        platform.machine().lower()
    )
    if system is None or processor is None:
        raise PlatformUnsupported(
            f"Set-up downloads programs for Linux and macOS on x86-64 and arm64, not for {sys.platform} on "
            f"{platform.machine()}.",
            next_step="Use one of these, or a virtual machine with Linux.",
        )
    return system, processor


def _recorded(tools: Path) -> dict[str, str]:
    try:
        return json.loads((tools / _FIRST_USE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
