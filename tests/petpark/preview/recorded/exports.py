"""What `pulumi stack export` prints for a run of the real program, with what the official provider adds to inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import pulumi
from pulumi.runtime import mocks

from petpark.preview.pulumi_json import SIGNATURE
from tests.infra.conftest import Cloud, Declared, Deployment, shipped

FILE_ASSET = "c44067f5952c0a294b673a41bacd8c17"


def exported(deployment: Deployment, *, others: Mapping[str, Deployment]) -> dict[str, Any]:
    """The document, in the form of version 3 of Pulumi's deployments. `others`: stacks that the program refers to."""
    cloud = Cloud({})
    shared = json.loads(shipped(deployment.stack).get("aws:defaultTags", "{}")).get("tags", {})
    stack = {
        "urn": f"urn:pulumi:{deployment.stack}::petpark::pulumi:pulumi:Stack::petpark-{deployment.stack}",
        "custom": False,
        "type": "pulumi:pulumi:Stack",
        "outputs": _plain(deployment.outputs),
    }
    provider = {
        "urn": f"urn:pulumi:{deployment.stack}::petpark::pulumi:providers:aws::default_7_51_0",
        "custom": True,
        "id": "0",
        "type": "pulumi:providers:aws",
        "inputs": {"region": "eu-west-1"},
        "outputs": {"region": "eu-west-1"},
    }
    references = [
        {
            "urn": f"urn:pulumi:{deployment.stack}::petpark::pulumi:pulumi:StackReference::organization/petpark/{name}",
            "custom": True,
            "external": True,
            "type": "pulumi:pulumi:StackReference",
            "outputs": {"name": f"organization/petpark/{name}", "outputs": _plain(other.outputs)},
        }
        for name, other in others.items()
        if name != deployment.stack
    ]
    by_name = {(one.type, one.name): one for one in deployment.resources}
    resources = [
        stack,
        provider,
        *references,
        *({**_resource(one, cloud, shared), "urn": _urn(one, by_name)} for one in deployment.resources),
    ]
    return {
        "version": 3,
        "deployment": {
            "manifest": {"time": "2026-11-01T12:00:00Z", "magic": "0", "version": "v3.274.0"},
            "secrets_providers": {"type": "passphrase"},
            "resources": resources,
            "metadata": {},
        },
    }


def answer(token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """AWS's response to a data source, as in the other tests of the program."""
    return Cloud({}).call(mocks.MockCallArgs(token=token, args=dict(arguments), provider=""))[0]


def _resource(one: Declared, cloud: Cloud, shared: Mapping[str, str]) -> dict[str, Any]:
    """`shared`: the tags that the provider gives to everything."""
    inputs = _plain(one.inputs)
    facts = {"custom": one.type.startswith("aws:"), "type": one.type, "protect": one.protect}
    if not facts["custom"]:
        return {**facts, "inputs": inputs}
    args = mocks.MockResourceArgs(typ=one.type, name=one.name, inputs=inputs, provider="", resource_id="", custom=True)
    id_, outputs = cloud.new_resource(args)
    if isinstance(inputs.get("tags"), dict):  # a scaling group has a list, and no default tags
        outputs = {**outputs, "tagsAll": {**shared, **inputs["tags"]}}
        inputs = {**inputs, "tagsAll": outputs["tagsAll"]}
    filled = {"region": "eu-west-1"} if "region" not in inputs else {}
    return {**facts, "id": id_, "inputs": {**filled, **inputs, "__defaults": list(filled)}, "outputs": outputs}


def _urn(one: Declared, by_name: Mapping[tuple[str, str], Declared]) -> str:
    """The URN that Pulumi's engine makes, with the types of all parents; Pulumi's mocks name the nearest only."""
    types = [one.type]
    parent = by_name.get((one.parent_type, one.parent))
    while parent is not None:
        types.append(parent.type)
        parent = by_name.get((parent.parent_type, parent.parent))
    return f"{one.urn.rpartition('::petpark::')[0]}::petpark::{'$'.join(reversed(types))}::{one.name}"


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case pulumi.FileAsset():  # the code bundle, whose file is called by its hash
            return {SIGNATURE: FILE_ASSET, "path": f"/deployed/{value.path}", "hash": PurePath(value.path).stem}
        case str() | int() | float() | bool() | None:
            return value
        case _:
            return str(value)
