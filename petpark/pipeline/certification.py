"""Send a certification decision to waiting pipelines. They continue, and verify the signature themselves."""

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
_TASK_ENDED: Final = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})


@dataclass(frozen=True, kw_only=True)
class Notified:
    """A pipeline that requested this decision, and whether it was still waiting."""

    execution: str
    waited: bool
    problem: str = ""
    """Why the decision could not be sent, and what to do; empty if it could."""


def answer(target: Target, certificate: Certificate) -> list[Notified]:
    """Send the decision, in the certifier role, to every pipeline that waits for one on this digest.

    Returns the pipelines that waited or could not be notified; if there are none, the newest of the others, which have
    ended or been answered before. A revocation is not sent: then the list is empty.
    """
    if target.outputs.pipeline is None or certificate.decision == "revoked":
        return []
    answers = [_notify(target, request, certificate) for request in _requests(target, certificate.digest)]
    waited = [each for each in answers if each.waited or each.problem]
    return waited or answers[-1:]


def _requests(target: Target, digest: str) -> list[Mapping[str, Any]]:
    """Returns the pipelines' requests for a decision on a digest, oldest first."""
    store = target.store(target.outputs.workspace, role=Role.CERTIFIER)
    stored = sorted((one for one in store.stats(PIPELINES) if one.key.endswith(_KEY)), key=lambda one: -one.age)
    found = (_request(store, one.key) for one in stored)
    return [request for request in found if request is not None and request["digest"] == digest]


def _request(store: ObjectStore, key: str) -> Mapping[str, Any] | None:
    """Returns a pipeline's request; None if it is deleted or malformed: the decision is already signed."""
    try:
        found: Any = json.loads(store.get(key))
    except (ObjectMissing, ValueError):
        return None
    names = ("digest", "execution", "token")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        return None
    return found


def _notify(target: Target, request: Mapping[str, Any], certificate: Certificate) -> Notified:
    name = str(request["execution"])
    output = json.dumps({"decision": certificate.decision, "by": certificate.by})
    try:
        target.client("stepfunctions", role=Role.CERTIFIER).send_task_success(taskToken=request["token"], output=output)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _TASK_ENDED:
            return Notified(execution=name, waited=False)
        if code in DENIED:
            problem = (
                f"the decision is signed, but the certifier role may not answer pipeline {name}: "
                f"run pulumi up in the stack that owns the platform, then petpark pipeline retry {name}"
            )
            return Notified(execution=name, waited=False, problem=problem)
        raise
    return Notified(execution=name, waited=True)
