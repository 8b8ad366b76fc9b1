"""A plan: the operation on each resource of a stack, from any engine. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Final

from registry.encoding import canonical

_STACK: Final = re.compile(r"(?=.{1,100}$)(?:(?!\.{1,2}(?:/|$))[A-Za-z0-9_.-]+(?:/(?!$)|$)){1,3}")
"""https://www.pulumi.com/docs/iac/concepts/stacks/"""
_URN: Final = re.compile(r"urn:pulumi:[A-Za-z0-9_.-]+::[A-Za-z0-9_.-]+::[A-Za-z0-9_:/.$-]+::.+", re.DOTALL)
"""https://www.pulumi.com/docs/iac/concepts/resources/names/#urns; a name may have any characters."""
_GIT: Final = re.compile(r"([0-9a-f]{40}([0-9a-f]{24})?\+?)?")
_STATE: Final = re.compile(r"[A-Za-z0-9.-]{0,64}")
_SOURCE: Final = re.compile(r"[A-Za-z0-9_ .+-]{1,100}")


def is_stack(name: str) -> bool:
    """Returns whether a stack can have this name."""
    return bool(_STACK.fullmatch(name))


RECORDED: Final = "recorded state"
"""The source of a plan that was made without the deploying engine: a review cannot be bound to it."""


class Op(StrEnum):
    """A planned operation on a resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"


STATEFUL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aws:s3/bucket:Bucket": "every object in it",
        "aws:s3/bucketV2:BucketV2": "every object in it",
        "aws:kms/key:Key": "everything that it encrypted, and the proof of what it signed",
        "aws:cloudwatch/logGroup:LogGroup": "its log lines",
        "aws:cloudtrail/trail:Trail": "records until the new one writes",
        "aws:ec2/eip:Eip": "the address that clients know",
        "aws:lb/loadBalancer:LoadBalancer": "the DNS name that clients know",
        "aws:sns/topic:Topic": "its subscriptions, which people have confirmed",
        "aws:acm/certificate:Certificate": "the certificate that is in use",
    }
)
"""Stateful types, and what is lost if a resource is deleted or replaced."""


@dataclass(frozen=True, kw_only=True)
class PropertyChange:
    """One property that differs; None: absent. `forces`: it forces a replacement."""

    path: str
    before: str | None
    after: str | None
    forces: bool = False


@dataclass(frozen=True, kw_only=True)
class ResourceChange:
    """One resource and the planned operation. `protected`: the engine refuses to delete it.

    Raises ValueError for a malformed URN.
    """

    op: Op
    urn: str
    properties: tuple[PropertyChange, ...] = ()
    protected: bool = False

    def __post_init__(self) -> None:
        if not _URN.fullmatch(self.urn):
            raise ValueError(f"{self.urn[:200]!r} is not a URN")

    @property
    def type(self) -> str:
        """The type token, such as `aws:s3/bucket:Bucket`."""
        return self.urn.split("::", 3)[2].rpartition("$")[2]

    @property
    def name(self) -> str:
        """The name that the program gave it."""
        return self.urn.split("::", 3)[3]

    @property
    def loses(self) -> str:
        """What is lost with the deployed resource; empty if nothing is."""
        return STATEFUL.get(self.type, "") if self.op in {Op.REPLACE, Op.DELETE} else ""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A rule's finding: a violation that `up` refuses if `mandatory`, else a warning or an undecided rule."""

    rule: str
    resource: str
    """The resource's name; empty for the whole stack."""
    message: str
    mandatory: bool


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The findings of all rules. `problem`: why they could not be checked; empty if they were."""

    violations: tuple[Violation, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A component's cost in USD after the change; `before` is None if the page shows only the cost after it."""

    component: str
    before: float | None
    after: float
    unit: str
    """`month` or `hour`."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The cost of a stack. `problem`: why it was not computed; empty if it was."""

    costs: tuple[Cost, ...] = ()
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A metric of two versions and its difference, each with its interval, as text."""

    name: str
    before: str
    after: str
    difference: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A finding on models; `serious`: it would change the served version, or refuse it."""

    text: str
    serious: bool = False


@dataclass(frozen=True, kw_only=True)
class Models:
    """The effects of a change on models. `source` is where they were read: the registry, or a record.

    `before` and `after`: the channel that the endpoint follows, and its version. `problem`: why they could not be
    determined; empty if they could.
    """

    source: str = ""
    before: str = ""
    after: str = ""
    figures: tuple[Figure, ...] = ()
    findings: tuple[Finding, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The planned changes of one stack.

    `source` is what made the plan, as text. `problems` are errors and warnings of the engine or the program.
    `notes` are limits of how the plan was made. `commit` and `tree` are git's hashes of the program, with `+` if files
    differ from them, and `state` is the version of the stack's state; empty: not known. `rules`, `costs`, `models`:
    None if they were not checked. Only the stack and the changes are part of the digest.

    Raises ValueError if the stack's name, the source or the binding has characters that it cannot have.
    """

    stack: str
    changes: tuple[ResourceChange, ...]
    unchanged: int
    source: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    commit: str = ""
    tree: str = ""
    state: str = ""
    rules: Checked | None = None
    costs: Costs | None = None
    models: Models | None = None

    def __post_init__(self) -> None:
        if not (is_stack(self.stack) and _SOURCE.fullmatch(self.source) and 0 <= self.unchanged < 1_000_000):
            raise ValueError("not a plan")
        if not (_GIT.fullmatch(self.commit) and _GIT.fullmatch(self.tree) and _STATE.fullmatch(self.state)):
            raise ValueError("not a plan: it is not bound to a commit and a state")

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the changes in hexadecimal; their order does not matter."""
        changes = sorted((_facts(change) for change in self.changes), key=lambda facts: (facts["urn"], facts["op"]))
        return hashlib.sha256(canonical({"stack": self.stack, "changes": changes})).hexdigest()

    @property
    def binding(self) -> str:
        """What a review is bound to, in the format of `--expect`: plan, program and state."""
        return f"{self.digest}:{self.tree or 'unknown'}:{self.state or 'unknown'}"

    @property
    def binds(self) -> bool:
        """Whether a review can be bound to it: not if made from a record, uncommitted files or an unknown state."""
        return self.source != RECORDED and bool(self.tree and self.state) and not self.tree.endswith("+")

    def of(self, op: Op) -> Sequence[ResourceChange]:
        """Returns the changes of one kind, sorted by type and name."""
        return sorted((change for change in self.changes if change.op is op), key=lambda each: (each.type, each.name))


def _facts(change: ResourceChange) -> dict[str, object]:
    properties = sorted((asdict(each) for each in change.properties), key=lambda facts: facts["path"])
    return {"op": str(change.op), "urn": change.urn, "protected": change.protected, "properties": properties}
