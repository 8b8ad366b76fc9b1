"""What the registry holds, as operators ask for it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.decisions import now
from petpark.target import Target
from registry import layout

if TYPE_CHECKING:
    from registry.certificate import Certificate
    from registry.channel import Move
    from registry.version import Version


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A version, the channels that are at it now, and the last decision about it."""

    version: Version
    channels: tuple[str, ...]
    decision: str
    certificates: Sequence[Certificate]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that `verify` looked at."""

    what: str
    ok: bool
    detail: str


def standings(target: Target) -> list[Standing]:
    """Every version, newest first."""
    from registry.catalog import Catalog

    store = target.store(target.outputs.model_store, role=layout.Role.READER)
    heads = _heads(target)
    return [_standing(target, version, heads) for version in reversed(Catalog(store, target.outputs.model).versions())]


def standing(target: Target, number: int) -> Standing:
    """One version; raises the registry's `VersionMissing`."""
    from registry.catalog import Catalog

    version = Catalog(target.store(target.outputs.model_store, role=layout.Role.READER), target.outputs.model).version(
        number
    )
    return _standing(target, version, _heads(target))


def history(target: Target, channel: str) -> list[Move]:
    """Every move of `channel`, oldest first."""
    from registry.channel import Channel

    return Channel(
        target.store(target.outputs.model_store, role=layout.Role.READER), target.outputs.model, channel
    ).history()


def channels(target: Target) -> list[str]:
    """The channels that were ever moved."""
    prefix = layout.shelf_prefix(target.outputs.model, layout.Shelf.CHANNELS)
    keys = target.store(target.outputs.model_store, role=layout.Role.READER).keys(prefix)
    return sorted({key.removeprefix(prefix).partition("/")[0] for key in keys})


def verify(target: Target, number: int, *, at: datetime | None = None) -> list[Finding]:
    """Fetch version `number` and check every byte of it, its certificate, and the channels that name it."""
    from registry.catalog import Catalog
    from registry.certificate import Certificates
    from registry.errors import RegistryError

    store = target.store(target.outputs.model_store, role=layout.Role.READER)
    catalog = Catalog(store, target.outputs.model)
    version = catalog.version(number)
    findings: list[Finding] = []
    try:
        with tempfile.TemporaryDirectory(prefix="petpark-verify-") as folder:
            files = catalog.fetch(version, Path(folder))
        findings.append(Finding(what="files", ok=True, detail=f"{len(files)} files match their hashes"))
    except RegistryError as error:
        findings.append(Finding(what="files", ok=False, detail=str(error)))
    try:
        certificate = Certificates(store, target.outputs.model).require(
            version, target.verifier(role=layout.Role.READER), now=at or now()
        )
        findings.append(
            Finding(what="certificate", ok=True, detail=f"by {certificate.by}, until {certificate.expires_at}")
        )
    except RegistryError as error:
        findings.append(Finding(what="certificate", ok=False, detail=str(error)))
    for channel in channels(target):
        for move in history(target, channel):
            if move.version == number:
                same = move.digest == version.digest
                detail = "names this digest" if same else f"names another digest: {move.digest}"
                findings.append(Finding(what=f"channel {channel}, move {move.number}", ok=same, detail=detail))
    return findings


def _heads(target: Target) -> dict[str, int]:
    from registry.channel import Channel

    store = target.store(target.outputs.model_store, role=layout.Role.READER)
    heads = {name: Channel(store, target.outputs.model, name).head() for name in channels(target)}
    return {name: head.version for name, head in heads.items() if head is not None}


def _standing(target: Target, version: Version, heads: dict[str, int]) -> Standing:
    from registry.certificate import Certificates

    decisions = Certificates(
        target.store(target.outputs.model_store, role=layout.Role.READER), target.outputs.model
    ).of(version)
    return Standing(
        version=version,
        channels=tuple(name for name, number in heads.items() if number == version.number),
        decision=decisions[-1].decision if decisions else "none",
        certificates=decisions,
    )
