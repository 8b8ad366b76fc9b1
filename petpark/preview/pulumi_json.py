"""The output of `pulumi preview --json` as a plan.

Format: `PreviewDigest` of pulumi's `pkg/display/json.go` (steps with `op`, `urn`, `oldState`, `newState`,
`detailedDiff`; `diagnostics`). Secrets arrive as `[secret]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from infra.rules.preview import PLACEHOLDERS
from petpark.errors import PreviewUnreadable
from petpark.preview.plan import Op, Plan, PropertyChange, ResourceChange

SECRET: Final = "[secret]"  # noqa: S105  what stands for one
UNKNOWN: Final = "(known after the deployment)"

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""Key of special values (`SigKey` of pulumi's `sdk/go/common/resource/sig/sig.go`). The constants below are values."""
_SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  marks a secret
ASSETS: Final = frozenset({"c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7"})
"""An asset, and an archive."""
SECRET_MARK: Final = {SIGNATURE: _SECRET_SIGNATURE}
"""A secret without its value."""
_CREATED: Final = ("create-replacement", "import-replacement", "create", "import")
_REPLACED: Final = {"replace"}
_DELETED: Final = {"delete", "delete-replaced", "discard", "discard-replaced"}
_UPDATED: Final = {"update"}
_SAME: Final = {"same", "read", "read-replacement", "refresh", "remove-pending-replace"}
_OPS: Final = {*_CREATED} | _REPLACED | _DELETED | _UPDATED | _SAME
_ALWAYS_HERE: Final = frozenset({"pulumi:pulumi:Stack"})


def read_plan(text: str, *, stack: str, source: str = "pulumi preview") -> Plan:
    """Returns the plan that `pulumi preview --json` printed for `stack`. Raises `PreviewUnreadable`."""
    try:
        digest: Any = json.loads(text)
        steps = digest.get("steps") or []
        by_urn: dict[str, list[Mapping[str, Any]]] = {}
        for step in steps:
            if step["op"] not in _OPS:
                raise PreviewUnreadable(
                    f"The preview has an unknown step {step['op']!r}.",
                    next_step="Use the version of the Pulumi CLI that requirements/deploy.txt names.",
                )
            by_urn.setdefault(step["urn"], []).append(step)
        changes = [change for urn, of_urn in by_urn.items() for change in _changes(urn, of_urn)]
        problems = [
            f"{each.get('severity', 'error')}: {str(each.get('message', '')).strip()}"
            for each in digest.get("diagnostics") or []
            if each.get("severity") in {"error", "warning", "info#err"}
        ]
        plan = Plan(
            stack=stack,
            changes=tuple(changes),
            unchanged=len(by_urn) - len({change.urn for change in changes}),
            source=source,
            problems=tuple(problems),
        )
        _ = plan.digest  # text that is not Unicode has none
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise PreviewUnreadable(
            "This is not what `pulumi preview --json` prints.",
            next_step=f"pulumi preview --json --stack {stack} > preview.json, without "
            "PULUMI_ENABLE_STREAMING_JSON_PREVIEW.",
        ) from None
    return plan


def _changes(urn: str, steps: Sequence[Mapping[str, Any]]) -> Iterator[ResourceChange]:
    """The changes of one resource, from all of its steps: a replacement has three."""
    ops = {step["op"] for step in steps}
    if ops & _REPLACED or (ops & {*_CREATED} and ops & _DELETED):
        op, step = Op.REPLACE, _first(steps, "replace", *_CREATED)
        old = next((each for each in steps if each.get("oldState")), step)
        step = {**step, "oldState": step.get("oldState") or old.get("oldState")}
    elif ops & {*_CREATED}:
        op, step = Op.CREATE, _first(steps, *_CREATED)
    elif ops & _DELETED:
        op, step = Op.DELETE, _first(steps, *_DELETED)
    elif ops & _UPDATED:
        op, step = Op.UPDATE, _first(steps, "update")
    else:
        return
    if urn.split("::")[2] in _ALWAYS_HERE and op is Op.UPDATE:
        return
    yield ResourceChange(
        op=op,
        urn=urn,
        properties=tuple(_properties(op, step)),
        protected=bool((step.get("oldState") or {}).get("protect")),
    )


def _first(steps: Sequence[Mapping[str, Any]], *ops: str) -> Mapping[str, Any]:
    return next(step for op in ops for step in steps if step["op"] == op)


def _properties(op: Op, step: Mapping[str, Any]) -> Iterator[PropertyChange]:
    """Differences of inputs (declared, not computed by AWS), sorted by path."""
    if op is Op.DELETE:
        return
    before = leaves((step.get("oldState") or {}).get("inputs") or {})
    after = leaves((step.get("newState") or {}).get("inputs") or {})
    forcing = {str(key) for key in step.get("replaceReasons") or []}
    forcing |= {path for path, diff in (step.get("detailedDiff") or {}).items() if diff["kind"].endswith("-replace")}
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield PropertyChange(
                path=path, before=before.get(path), after=after.get(path), forces=_covers(forcing, path)
            )


def _covers(paths: set[str], path: str) -> bool:
    return any(
        path == each or path.startswith((f"{each}.", f"{each}[")) or each.startswith(f"{path}[") for each in paths
    )


def leaves(value: Any, path: str = "") -> dict[str, str]:
    """Returns the property paths, in Pulumi's notation, with their values as text."""
    if isinstance(value, Mapping) and value.get(SIGNATURE) == _SECRET_SIGNATURE:
        return {path: SECRET}
    if isinstance(value, Mapping) and value:
        return {
            inner: text
            for key, each in value.items()
            if not str(key).startswith("__") and key != SIGNATURE  # assets and archives: path and hash remain
            for inner, text in leaves(each, _join(path, str(key))).items()
        }
    if isinstance(value, list) and value:
        return {
            inner: text for place, each in enumerate(value) for inner, text in leaves(each, f"{path}[{place}]").items()
        }
    if isinstance(value, str):
        return {path: UNKNOWN if value in PLACEHOLDERS else value}
    if not path:
        return {}
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return {path: json.dumps(value, ensure_ascii=False)}


def _join(path: str, key: str) -> str:
    if not key.replace("_", "").replace("-", "").isalnum():
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key
