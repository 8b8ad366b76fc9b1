"""A stack's resources from the JSON of `pulumi preview --json --show-sames`.

Its form is that of the CLI v3.274 (`sdk/go/common/display.PreviewDigest`): a step for each resource, whose `newState`
is what the stack would have, as in an exported state.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from infra.rules.resource import UNKNOWN, Resource

# What stands for values that are known only later, by type: sdk/go/common/resource/plugin/rpc.go
PLACEHOLDERS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
_SECRET = "[secret]"  # noqa: S105 - what the CLI prints instead of one
_UNCHANGED = "same"


class PreviewUnusable(ValueError):
    """The document is no preview of a whole stack; the message says what to do."""


def read_preview(document: Mapping[str, Any]) -> tuple[Resource, ...]:
    """Every resource that the stack would have after the previewed update. Raises `PreviewUnusable`.

    Values that are known only after the update, and secrets, are `UNKNOWN`.
    """
    steps = document.get("steps")
    if not isinstance(steps, list):
        raise PreviewUnusable("the document has no list of steps; expected the output of `pulumi preview --json`")
    errors = [one.get("message", "") for one in document.get("diagnostics") or () if one.get("severity") == "error"]
    if errors:
        raise PreviewUnusable(f"the preview failed, so it does not name every resource: {errors[0].strip()}")
    shown = sum(step.get("op") == _UNCHANGED for step in steps)
    unchanged = (document.get("changeSummary") or {}).get(_UNCHANGED, 0)
    if shown < unchanged:
        raise PreviewUnusable(
            f"{unchanged - shown} unchanged resources are not in the document; run "
            "`pulumi preview --json --show-sames`: some rules compare a resource with others"
        )
    return tuple(_resources(steps))


def _resources(steps: list[Mapping[str, Any]]) -> Iterator[Resource]:
    """A replaced resource has several steps: those that delete have no new state, the others the same."""
    states = {step["urn"]: step["newState"] for step in steps if step.get("newState") and "delete" not in step["op"]}
    for urn, state in states.items():
        yield Resource(
            type=state["type"],
            name=urn.split("::", 3)[-1],
            urn=urn,
            properties=decode(state.get("inputs") or {}),
            protect=bool(state.get("protect")),
            retain=bool(state.get("retainOnDelete")),
            refers={name: frozenset(urns or ()) for name, urns in (state.get("propertyDependencies") or {}).items()},
        )


def decode(value: Any) -> Any:
    """A value with `UNKNOWN` where Pulumi has its placeholders."""
    if isinstance(value, Mapping):
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode(item) for item in value]
    return UNKNOWN if isinstance(value, str) and (value in PLACEHOLDERS or value == _SECRET) else value
