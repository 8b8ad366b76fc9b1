"""The purposes `move` and `read-back`: move a channel to a version, and wait until an endpoint serves it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from petpark.endpoints import endpoint_status
from petpark.errors import StackNotDeployed
from petpark.models import decisions
from petpark.targets.target import Target
from petpark.worker.purposes.findings import Assignment, Findings
from registry.channels.channel import Channel
from registry.encoding import DIGEST, NAME, Fields
from registry.errors import (
    ChannelMoved,
    DecidedAfterMove,
    GatesFailed,
    MetricBelow,
    MoverRefused,
    NotCertified,
    SamePerson,
)
from registry.layout.roles import Role
from registry.versions.catalog import Catalog

_REFUSALS: Final = (DecidedAfterMove, GatesFailed, MetricBelow, MoverRefused, NotCertified, SamePerson)
_TRIES: Final = 3
_POLL_SECONDS: Final = (0.2, 2.0)
"""Initial and maximum polling interval, in seconds: an endpoint follows its channel within seconds."""
_WAIT_SHARE: Final = 0.9
"""Share of the job's time for waiting; the rest is for reporting what the endpoint serves instead."""


def move(assignment: Assignment) -> Findings:
    """Move a channel to a version by the channel's rule, as promoter, unless it is already there.

    Outcomes: `moved`, `refused`. Raises OrderMalformed, `ChannelUnknown`, the registry's VersionMissing and
    DigestMismatch, and ChannelMoved if others keep moving the channel.
    """

    def read(fields: Fields) -> tuple[int, str, str, str]:
        version, digest = fields.count("version"), fields.text("digest", DIGEST)
        return version, digest, fields.text("channel", NAME), fields.text("why")

    number, digest, channel, why = assignment.order.read(read)
    target = assignment.target()
    store = target.store(target.outputs.model_store, role=Role.PROMOTER)
    Catalog(store, target.outputs.model).version(
        number, digest=digest
    )  # raises DigestMismatch unless it is the tested version
    for left in reversed(range(_TRIES)):
        head = Channel(store, target.outputs.model, channel, memory=target.chains()).head()
        if head is not None and (head.version, head.digest) == (number, digest):
            text = f"{channel} has been at version {number} since entry {head.number}, by {head.by}"
            return Findings(outcome="moved", version=number, digest=digest, message=text)
        try:
            entry = decisions.promote(target, number, channel=channel, why=why)
        except ChannelMoved:
            if not left:
                raise
            assignment.check()
        except _REFUSALS as error:
            text = f"expected {error.expected}; found {error.actual}. {error.next}"
            return Findings(outcome="refused", version=number, digest=digest, message=text)
        else:
            text = f"entry {entry.number} of {channel}"
            return Findings(outcome="moved", version=number, digest=digest, message=text)
    raise AssertionError("unreachable: the last try returns or raises")


def read_back(assignment: Assignment) -> Findings:
    """Wait until every process of a stack's endpoint serves a digest. Outcomes: `passed`, `refused`.

    Also waits for a stack that is not deployed yet. Raises OrderMalformed, Interrupted, TookTooLong.
    """

    def read(fields: Fields) -> tuple[int, str, str]:
        return fields.count("version"), fields.text("digest", DIGEST), fields.text("stack")

    number, digest, stack = assignment.order.read(read)
    problem = wait_for_digest(assignment, lambda: assignment.open_target(stack), digest)
    if problem:
        text = f"the endpoint of {stack} does not serve version {number}: {problem}"
        return Findings(outcome="refused", version=number, digest=digest, message=text)
    return Findings(outcome="passed", version=number, digest=digest, message=f"the endpoint of {stack} serves it")


def wait_for_digest(assignment: Assignment, find_target: Callable[[], Target], digest: str) -> str:
    """Wait until all processes of an endpoint serve `digest`.

    Returns an empty text, or what they serve instead if the time runs out. Raises Interrupted, TookTooLong.
    """
    start = assignment.clock()
    wait_until = start + (assignment.deadline - start) * _WAIT_SHARE
    pause, longest = _POLL_SECONDS
    target: Target | None = None
    while True:
        try:
            target = target or find_target()
            problem = other_than(digest, *endpoint_status.ask_everyone(target))
        except StackNotDeployed as error:
            problem = str(error)
        if not problem or assignment.clock() >= wait_until:
            return problem
        assignment.wait(min(pause, wait_until - assignment.clock()))
        pause = min(longest, 1.5 * pause)


def other_than(digest: str, answers: Sequence[Mapping[str, Any]], silent: Sequence[str]) -> str:
    """Returns which processes do not serve `digest` or do not respond, as text; empty if all serve it."""
    others = [
        f"{served.get('instance')} serves version {served.get('version')} ({served.get('digest')})"
        for served in answers
        if served.get("digest") != digest
    ]
    problems = [*others, *(f"{name} does not respond" for name in silent)]
    return "; ".join(problems) if problems or answers else "no process responds"
