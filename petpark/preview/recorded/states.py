"""The resources of a stack from its engine's export, without secrets. Pure.

Two formats: `pulumi stack export` (`apitype.UntypedDeployment` of pulumi's `sdk/go/common/apitype/core.go`, version 3),
and the state file of the embedded engine (docs/design/engine.md).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from petpark.errors import RecordUnreadable
from petpark.preview.pulumi_json import ASSETS, SECRET_MARK, SIGNATURE
from petpark.preview.recorded.record import RecordedResource

_STACK: Final = "pulumi:pulumi:Stack"
_REFERENCE: Final = "pulumi:pulumi:StackReference"
_ENGINE_FORMAT: Final = 2
_HASHED: Final = re.compile(r"assets/(?P<hash>[0-9a-f]{64})")


_URN: Final = re.compile(r"urn:pulumi:[^:]+::[^:]+::[^:].*::.+", re.DOTALL)
"""https://www.pulumi.com/docs/iac/concepts/resources/names/#urns"""


@dataclass(frozen=True, kw_only=True)
class State:
    """An exported state. `version`: the number in the embedded engine's file; else empty."""

    resources: tuple[RecordedResource, ...]
    references: Mapping[str, Mapping[str, Any]]
    """Outputs of other stacks, by name."""
    outputs: Mapping[str, Any]
    """The stack's own outputs."""
    version: str = ""


def read(text: str) -> State:
    """Returns the resources of an export in either format. Raises `RecordUnreadable`."""
    try:
        facts: Any = json.loads(text)
        found: State | None = None
        if facts.get("version") == 3:
            found = _official(facts["deployment"])
        elif facts.get("format") == _ENGINE_FORMAT:
            found = _embedded(facts)
        if found is not None:
            _require_named(found.resources)
            return found
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    raise RecordUnreadable(
        "This is neither what `pulumi stack export` prints (version 3) nor a state file of the embedded engine "
        f"(format {_ENGINE_FORMAT}).",
        next_step="pulumi stack export --stack STACK > FILE, without --show-secrets",
    )


def _require_named(resources: tuple[RecordedResource, ...]) -> None:
    """Raises ValueError if a resource has no URN, or two resources have the same."""
    urns = [each.urn for each in resources]
    if len(set(urns)) < len(urns) or not all(map(_URN.fullmatch, urns)):
        raise ValueError("missing or duplicate URN")


def version_of(resources: tuple[RecordedResource, ...]) -> str:
    """Returns a version made from the content, for an export without one."""
    spelled = sorted(json.dumps(vars(each), sort_keys=True) for each in resources)
    return f"sha256-{hashlib.sha256(json.dumps(spelled).encode()).hexdigest()[:16]}"


def _official(deployment: Mapping[str, Any]) -> State:
    entries = [each for each in deployment.get("resources") or () if not each.get("delete")]
    references = {
        str(each["outputs"]["name"]): _open(each["outputs"].get("outputs") or {})
        for each in entries
        if each["type"] == _REFERENCE
    }
    return State(
        resources=tuple(
            RecordedResource(
                urn=each["urn"],
                type=each["type"],
                custom=bool(each.get("custom")),
                id=str(each.get("id", "")),
                inputs=_open(each.get("inputs") or {}),
                outputs=_open(each.get("outputs") or {}),
                protect=bool(each.get("protect")),
            )
            for each in entries
            if not each.get("external")
            and each["type"] != _REFERENCE
            and not each["type"].startswith("pulumi:providers:")
        ),
        references=references,
        outputs=next((_open(each.get("outputs") or {}) for each in entries if each["type"] == _STACK), {}),
    )


def _embedded(facts: Mapping[str, Any]) -> State:
    resources = tuple(_of_engine(facts["resources"]))
    return State(
        resources=resources,
        references={},
        outputs=next((each.outputs for each in resources if each.type == _STACK), {}),
        version=str(facts["serial"]),
    )


def _of_engine(entries: list[Mapping[str, Any]]) -> Iterator[RecordedResource]:
    for each in entries:
        if "sealed" in each:
            yield RecordedResource(
                urn=each["urn"], type=each["type"], custom=each["custom"], protect=each["protect"], sealed=True
            )
            continue
        fields = (each.get("provider_state") or {}).get("fields") or {}
        inputs = {name: _with_hash(value, fields.get(name)) for name, value in each["inputs"].items()}
        if each["autonamed"]:
            inputs["__defaults"] = [each["autonamed"]]
        yield RecordedResource(
            urn=each["urn"],
            type=each["type"],
            custom=each["custom"],
            id=each["id"],
            inputs=_open(inputs),
            outputs=_open({**each["outputs"], **{name: inputs[name] for name in each["outputs"] if name in inputs}}),
            protect=each["protect"],
        )


def _with_hash(value: Any, field: Any) -> Any:
    """An asset with the hash at the end of its path in the provider's state."""
    found = _HASHED.fullmatch(field) if isinstance(field, str) else None
    if found and isinstance(value, Mapping) and SIGNATURE in value:
        return {**value, "hash": found["hash"]}
    return value


def _open(value: Any) -> Any:
    """A value without secrets and without paths of the deploying machine."""
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) in ASSETS:
            return asset(value)
        if value.get(SIGNATURE) is not None:
            return SECRET_MARK
        return {str(name): _open(each) for name, each in value.items()}
    return [_open(each) for each in value] if isinstance(value, list) else value


def asset(value: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an asset's kind, file name and SHA-256 of its content."""
    kept = {SIGNATURE: value[SIGNATURE], "hash": str(value.get("hash", ""))}
    return {**kept, "path": Path(str(value["path"])).name} if value.get("path") else kept
