"""Wakes the pipelines that wait for a decision about a version. The signature is what counts; this only wakes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from petpark.failures.failure import DENIED
from registry.errors import ObjectMissing
from registry.layout.roles import Role
from registry.layout.workspace import PIPELINES

if TYPE_CHECKING:
    from petpark.targets.target import Target
    from registry.certificates.certificate import Certificate
    from registry.store.object_store import ObjectStore

_KEY: Final = "/certification.json"
_OVER: Final = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})


@dataclass(frozen=True, kw_only=True)
class Woken:
    """A pipeline that requested this decision, and whether it accepted the answer."""

    execution: str
    waited: bool
    problem: str = ""
    """Why it could not be woken, in a sentence with what to do."""


def answer(target: Target, certificate: Certificate) -> list[Woken]:
    """As certifier, send the decision to every pipeline that waits for one about this version's bytes.

    A pipeline that is over, or that somebody answered before, does not wait; only where none waits is that returned.
    A revocation is not sent.
    """
    if target.outputs.pipeline is None or certificate.decision == "revoked":
        return []
    answers = [_tell(target, request, certificate) for request in _requests(target, certificate.digest)]
    waited = [each for each in answers if each.waited or each.problem]
    return waited or answers[-1:]


def _requests(target: Target, digest: str) -> list[Mapping[str, Any]]:
    """What pipelines ask about a version, the longest ago first."""
    store = target.store(target.outputs.workspace, role=Role.CERTIFIER)
    kept = sorted((one for one in store.stats(PIPELINES) if one.key.endswith(_KEY)), key=lambda one: -one.age)
    found = (_question(store, one.key) for one in kept)
    return [request for request in found if request is not None and request["digest"] == digest]


def _question(store: ObjectStore, key: str) -> Mapping[str, Any] | None:
    """Returns a pipeline's request; None if it ended, or is malformed. The decision is signed already."""
    try:
        found: Any = json.loads(store.get(key))
    except (ObjectMissing, ValueError):
        return None
    names = ("digest", "execution", "token")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        return None
    return found


def _tell(target: Target, request: Mapping[str, Any], certificate: Certificate) -> Woken:
    name = str(request["execution"])
    output = json.dumps({"decision": certificate.decision, "by": certificate.by})
    try:
        target.client("stepfunctions", role=Role.CERTIFIER).send_task_success(taskToken=request["token"], output=output)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _OVER:
            return Woken(execution=name, waited=False)
        if code in DENIED:
            problem = (
                f"the certifier's role may not answer pipeline {name}; the decision is signed: let the stack that owns "
                f"the platform grant it (pulumi up), then petpark pipeline retry {name}"
            )
            return Woken(execution=name, waited=False, problem=problem)
        raise
    return Woken(execution=name, waited=True)
