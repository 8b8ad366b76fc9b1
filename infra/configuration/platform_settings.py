"""Settings that belong to the stack that owns the platform: channels, photo sources, gates, the pipeline.

Other stacks use the owner's, and leave these empty.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from infra.configuration.pipeline_settings import PipelineInvalid, PipelineSettings
from infra.configuration.settings_reader import NAME, SHORT_NAME, Reader
from registry.channel_policy import COMPARABLE, STRICT, ChannelPolicy, ChannelPolicyInvalid, comparable
from registry.gates import GatesInvalid, StackGates

OWN: Final = "own"
"""Value of `petpark:platform` in the stack that owns the platform; others name that stack."""

_SOURCE: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^*?$/\s\"\\]+)*")
"""A bucket, or a part of one; nothing that IAM would read as a pattern or a variable."""

_MOST_SOURCES: Final = 20
_SOURCES_CHARACTERS: Final = 1_000
"""How many sources, and all of them together: a role's inline policies may have 10,240 characters.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


def read_channels(values: Reader, platform_stack: str | None, followed: str) -> Mapping[str, ChannelPolicy]:
    """Read what the platform's owner says of its channels: all of them are there, its own endpoint's included."""
    found = values.mapping("channels", "a map from channel names to their rules")
    if found is None:
        return {}
    if platform_stack is None and followed and followed not in found:
        values.refuse("channels", ", ".join(found), f"{followed} among them, which the endpoint follows")
    if platform_stack and found:
        values.refuse("channels", ", ".join(found), _owners(platform_stack))
    for name in found:
        if not NAME.fullmatch(name):
            values.refuse("channels", name, f"names like the others: {SHORT_NAME}")
    return MappingProxyType({name: _channel_policy(values, f"channels.{name}", found[name]) for name in found})


def _channel_policy(values: Reader, key: str, value: Any) -> ChannelPolicy:
    """Read one channel's policy. A metric that no version has would never refuse one."""
    try:
        policy = ChannelPolicy.from_dict(value if isinstance(value, dict) else {})
    except ChannelPolicyInvalid as problem:
        values.refuse_for(key, [str(problem)])
        return STRICT
    if policy.metric is not None and not comparable(policy.metric):
        values.refuse_for(key, [f"`metric` is {policy.metric!r}; expected {COMPARABLE}"])
    return policy


def read_photo_sources(values: Reader, platform_stack: str | None) -> tuple[str, ...]:
    """Read the buckets that photos may come from; only the platform's owner has a role to grant them to."""
    found = values.texts("photo_sources", _SOURCE, "a list of buckets, or of bucket/prefix without * ? $, or []")
    if platform_stack and found:
        expected = f"[] where platform is not {OWN!r}: put them into Pulumi.{platform_stack}.yaml"
        values.refuse("photo_sources", ", ".join(found), expected)
    if len(found) > _MOST_SOURCES or sum(map(len, found)) > _SOURCES_CHARACTERS:
        limits = f"at most {_MOST_SOURCES} places of {_SOURCES_CHARACTERS:,} characters together"
        expected = f"{limits}, as a role's policy holds no more: name a common prefix, or whole buckets"
        values.refuse("photo_sources", f"{found[0]}, …", expected)
    return found


def read_gates(values: Reader, platform_stack: str | None) -> StackGates:
    """Read what the platform's owner asks: its training and its registry are the ones that all stacks use."""
    found = values.mapping("gates", "a map of data, model and checks, each from names to values")
    if found is None or (platform_stack and not found):
        return StackGates()
    if platform_stack:
        values.refuse("gates", ", ".join(found), _owners(platform_stack))
        return StackGates()
    try:
        return StackGates.from_dict(found)
    except GatesInvalid as refused:
        values.refuse_for("gates", refused.problems)
        return StackGates()


def read_pipeline(values: Reader, platform_stack: str | None) -> PipelineSettings:
    """Read how the pipeline runs, which is the platform's owner's."""
    found = values.mapping("pipeline", "a map from names to values, or {}")
    if found and platform_stack:
        values.refuse("pipeline", ", ".join(found), _owners(platform_stack))
    try:
        return PipelineSettings.from_dict(found or {})
    except PipelineInvalid as refused:
        values.refuse_for("pipeline", refused.problems)
        return PipelineSettings()


def _owners(stack: str) -> str:
    return f"none where platform is not {OWN!r}: put them into Pulumi.{stack}.yaml"
