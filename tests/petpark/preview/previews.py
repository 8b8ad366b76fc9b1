"""What `pulumi preview --json` prints for two runs of the real program: the stacks as they are, and with a change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi

from tests.infra.conftest import Declared, Deployment

FORCING: Mapping[str, frozenset[str]] = {
    "aws:s3/bucket:Bucket": frozenset({"bucket", "objectLockEnabled"}),
    "aws:ec2/subnet:Subnet": frozenset({"cidrBlock", "availabilityZone"}),
    "aws:ec2/vpc:Vpc": frozenset({"cidrBlock"}),
    "aws:s3/bucketObjectv2:BucketObjectv2": frozenset({"key", "bucket"}),
}
"""Properties that force a replacement, for the types of these tests: `ForceNew` in the AWS provider's schema."""


def digest(before: Deployment | None, after: Deployment | None) -> str:
    """The JSON document; None: nothing is deployed, or everything is taken down."""
    old = {one.urn: one for one in before.resources} if before else {}
    new = {one.urn: one for one in after.resources} if after else {}
    steps = [step for urn in old.keys() | new.keys() for step in _steps(old.get(urn), new.get(urn))]
    steps.sort(key=lambda step: (step["urn"], step["op"]))
    return json.dumps({"config": {}, "steps": steps, "duration": 1, "changeSummary": {}, "maybeCorrupt": False})


def _steps(old: Declared | None, new: Declared | None) -> list[dict[str, Any]]:
    if old is None and new is not None:
        return [_step("create", new, newState=_state(new))]
    if new is None and old is not None:
        return [_step("delete", old, oldState=_state(old))]
    assert old is not None
    assert new is not None
    before, after = _plain(old.inputs), _plain(new.inputs)
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    if not changed:
        return [_step("same", new, oldState=_state(old), newState=_state(new))]
    forcing = [key for key in changed if key in FORCING.get(new.type, ())]
    diff = {key: {"kind": "update-replace" if key in forcing else "update", "inputDiff": True} for key in changed}
    both = {"oldState": _state(old), "newState": _state(new), "detailedDiff": diff}
    if not forcing:
        return [_step("update", new, diffReasons=changed, **both)]
    return [
        _step("create-replacement", new, replaceReasons=forcing, **both),
        _step("replace", new, replaceReasons=forcing, **both),
        _step("delete-replaced", old, oldState=_state(old)),
    ]


def _step(op: str, one: Declared, **more: Any) -> dict[str, Any]:
    return {"op": op, "urn": one.urn, "provider": "urn:pulumi:test::petpark::pulumi:providers:aws::default::id", **more}


def _state(one: Declared) -> dict[str, Any]:
    return {
        "urn": one.urn,
        "custom": ":" in one.type,
        "type": one.type,
        "protect": one.protect,
        "inputs": _plain(one.inputs),
    }


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case pulumi.FileAsset():
            return {"path": str(value.path).rpartition("/")[2]}
        case str() | int() | float() | bool() | None:
            return value
        case _:
            return str(value)
