"""Wakes the pipelines that wait for a decision about a version. The signature is what counts; this only wakes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from petpark.errors import DENIED
from registry.errors import ObjectMissing
from registry.layout import PIPELINES, Role

if TYPE_CHECKING:
    from petpark.targets.target import Target
    from registry.certificates.certificate import Certificate
    from registry.store.object_store import ObjectStore

_KEY: Final = "/certification.json"
_OVER: Final = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})


@dataclass(frozen=True, kw_only=True)
class Woken:
    """A pipeline that asked for this decision, and what came of the answer."""

    execution: str
    waited: bool
    problem: str = ""
    """Why it could not be woken, in a sentence with what to do."""


def answer(target: Target, certificate: Certificate) -> list[Woken]:
    """Tell every pipeline that waits for a decision about this version's bytes, as certifier.

    A pipeline that is over, or that somebody answered before, does not wait; only where none waits is that returned.
    A revocation answers nobody.
    """
    if target.outputs.pipeline is None or certificate.decision == "revoked":
        return []
    told = [_tell(target, asked, certificate) for asked in _asked(target, certificate.digest)]
    waited = [each for each in told if each.waited or each.problem]
    return waited or told[-1:]


def _asked(target: Target, digest: str) -> list[Mapping[str, Any]]:
    """What pipelines ask about a version, the longest ago first."""
    store = target.store(target.outputs.workspace, role=Role.CERTIFIER)
    kept = sorted((one for one in store.stats(PIPELINES) if one.key.endswith(_KEY)), key=lambda one: -one.age)
    found = (_question(store, one.key) for one in kept)
    return [asked for asked in found if asked is not None and asked["digest"] == digest]


def _question(store: ObjectStore, key: str) -> Mapping[str, Any] | None:
    """What a pipeline asks; None where that is gone by now, or is none. The decision is signed already."""
    try:
        found: Any = json.loads(store.get(key))
    except (ObjectMissing, ValueError):
        return None
    names = ("digest", "execution", "token")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        return None
    return found


def _tell(target: Target, asked: Mapping[str, Any], certificate: Certificate) -> Woken:
    name = str(asked["execution"])
    output = json.dumps({"decision": certificate.decision, "by": certificate.by})
    try:
        target.client("stepfunctions", role=Role.CERTIFIER).send_task_success(taskToken=asked["token"], output=output)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _OVER:
            return Woken(execution=name, waited=False)
        if code in DENIED:
            said = (
                f"the certifier's role may not answer pipeline {name}; the decision is signed: let the stack that owns "
                f"the platform grant it (pulumi up), then petpark pipeline retry {name}"
            )
            return Woken(execution=name, waited=False, problem=said)
        raise
    return Woken(execution=name, waited=True)
