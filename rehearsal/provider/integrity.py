"""Whether the provider that set-up downloaded is still what was verified then."""

from __future__ import annotations

from pathlib import Path

from petpark.downloads import TOOLS
from petpark.downloads.unchanged import problem

WAY_OUT = "get it again: make provider"


def changed(binary: Path, *, tools: Path = TOOLS) -> str:
    """Why `binary` must not be used, as a sentence; empty for one that is unchanged or not in `tools`.

    Providers elsewhere are their owner's business.
    """
    if not binary.is_relative_to(tools):
        return ""
    why = problem(binary, verified=lambda: _against_the_pin(binary))
    return why and f"The AWS provider {binary} is not the one that was downloaded ({why})"


def _against_the_pin(binary: Path) -> str:
    """For a provider that an earlier petpark installed: its folder against the pinned hash, where one is known."""
    from petpark.downloads.pins import provider_pins
    from petpark.downloads.unpack import dirhash

    version, platform = binary.parts[-3:-1]
    pins = provider_pins()
    wanted = pins.h1.get(platform) if version == pins.version else None
    if wanted is None or (found := dirhash(binary.parent)) == wanted:
        return ""
    return f"its folder hashes to {found}, and {wanted} is pinned"
