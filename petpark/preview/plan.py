"""A plan: what would be done to each resource of a stack, from any engine. Pure."""

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
"""https://www.pulumi.com/docs/iac/concepts/resources/names/#urns; the name may hold anything."""
_GIT: Final = re.compile(r"([0-9a-f]{40}([0-9a-f]{24})?\+?)?")
_STATE: Final = re.compile(r"[A-Za-z0-9.-]{0,64}")
_SOURCE: Final = re.compile(r"[A-Za-z0-9_ .+-]{1,100}")


def is_stack(name: str) -> bool:
    """Whether a stack can have this name."""
    return bool(_STACK.fullmatch(name))


RECORDED: Final = "recorded state"
"""The source of a plan that was made without the engine that deploys: nothing can be bound to it."""


class Op(StrEnum):
    """What would be done to a resource."""

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
"""Types that hold something, and what is lost when one is deleted or replaced."""


@dataclass(frozen=True, kw_only=True)
class PropertyChange:
    """One property that differs. None: not there. `forces`: it forces a replacement."""

    path: str
    before: str | None
    after: str | None
    forces: bool = False


@dataclass(frozen=True, kw_only=True)
class ResourceChange:
    """One resource, and what would be done to it. `protected`: the engine refuses to delete it.

    Raises ValueError for a URN that is not in Pulumi's form.
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
        """What is lost with the resource as it is now; empty where nothing is."""
        return STATEFUL.get(self.type, "") if self.op in {Op.REPLACE, Op.DELETE} else ""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """What a rule found: a violation that `up` refuses if `mandatory`, else a warning or what is not decided yet."""

    rule: str
    resource: str
    """Its name; empty for the stack as a whole."""
    message: str
    mandatory: bool


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What the rules found. `problem`: why they could not be checked; empty if they were."""

    violations: tuple[Violation, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a component costs in USD, with the change; `before` None: the page says only what it costs with it."""

    component: str
    before: float | None
    after: float
    unit: str
    """`month` or `hour`."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a stack costs. `problem`: why it was not computed; empty if it was."""

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
    """Something about models that a reader has to know; `serious`: it would change what answers, or refuse it."""

    text: str
    serious: bool = False


@dataclass(frozen=True, kw_only=True)
class Models:
    """What the change means for the models. `source` is where it was read: the registry, or a record.

    `before` and `after` say which channel the endpoint follows, and at which version that is. `problem`: why nothing
    can be said; empty if something can.
    """

    source: str = ""
    before: str = ""
    after: str = ""
    figures: tuple[Figure, ...] = ()
    findings: tuple[Finding, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would become of one stack.

    `source` is what made the plan, for people. `problems` are errors and warnings of the engine or the program.
    `notes` say how the plan was made, where that limits what it says. `commit` and `tree` are git's names of the
    program that made it, and `state` the version of the stack's state that it was made from; `+` behind the first two:
    files differ from it; empty: not known. `rules`, `costs`, `models`: None if they were not looked at. Only the stack
    and the changes are part of the digest.

    Raises ValueError if the stack's name, the source, or what it is bound to has characters that none of them has.
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
            raise ValueError("not a plan: it is bound to something else than a commit and a state")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what would be done, in hexadecimal: equal for equal changes, in any order."""
        changes = sorted((_facts(change) for change in self.changes), key=lambda facts: (facts["urn"], facts["op"]))
        return hashlib.sha256(canonical({"stack": self.stack, "changes": changes})).hexdigest()

    @property
    def binding(self) -> str:
        """What a review is bound to, as `--expect` takes it: the plan, the program and the state."""
        return f"{self.digest}:{self.tree or 'unknown'}:{self.state or 'unknown'}"

    @property
    def binds(self) -> bool:
        """Whether a review of it can be bound: not to a record, uncommitted files, or what is not known."""
        return self.source != RECORDED and bool(self.tree and self.state) and not self.tree.endswith("+")

    def of(self, op: Op) -> Sequence[ResourceChange]:
        """The changes of one kind, by type and name."""
        return sorted((change for change in self.changes if change.op is op), key=lambda each: (each.type, each.name))


def _facts(change: ResourceChange) -> dict[str, object]:
    properties = sorted((asdict(each) for each in change.properties), key=lambda facts: facts["path"])
    return {"op": str(change.op), "urn": change.urn, "protected": change.protected, "properties": properties}
