"""Certificates and channels for the tests of decisions."""

from __future__ import annotations

from collections.abc import Callable

from registry.channel_policy import ChannelPolicy
from registry.version import Version
from tests.petpark.conftest import Place, Run

type Publish = Callable[..., Version]


def certify(run: Run, version: int, decision: str = "certified") -> None:
    assert run("certify", str(version), "--decision", decision, "--note", "looked").exit_code == 0


def declare(place: Place, channel: str, **changes: object) -> None:
    """Let every stack export this rule for `channel`; what is not said is as strict as can be."""
    for exported in place.exported.values():
        exported["channels"][channel] = {**ChannelPolicy().to_dict(), **changes}
