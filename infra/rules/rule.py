"""What a rule is, and what it finds."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from infra.rules.resource import Resource, Stack, Undecided


@dataclass(frozen=True, kw_only=True)
class TrainingLimits:
    """What a launcher may start from the stack's launch template: no resource says so, the settings do."""

    instance_types: tuple[str, ...]
    instances: int
    """The most that train one job together."""
    max_minutes: int
    """When an instance's watchdog ends it at the latest."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one stack."""

    gpu_types: frozenset[str]
    """Instance types with a GPU that the stack may use."""
    instances: int
    """The most instances at once: single ones, the largest size of each group, and one job's training."""
    hourly_usd: float
    """The most that these cost in an hour, on demand."""
    protect_data: bool
    """Buckets and keys must not be deletable."""
    training: TrainingLimits | None
    """None in a stack that trains nothing itself."""
    hour: Callable[[str], float | None]
    """USD of an hour of an instance type, on demand; None if no price is known."""


class Severity(StrEnum):
    """What a violation does to `pulumi preview` and `up`."""

    MANDATORY = "mandatory"
    """Ends them with an error."""
    ADVISORY = "advisory"
    """Is printed as a warning."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a rule may read in addition to the resource that it checks."""

    stack: Stack
    limits: Limits


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A resource, or the stack as a whole, that violates a rule, or of which this cannot be decided yet."""

    rule: "Rule"
    urn: str
    """Of the resource; empty for the stack as a whole."""
    name: str
    message: str
    decided: bool = True
    """False: a value that the rule needs is known only after the deployment, or a price is in no table."""

    @property
    def severity(self) -> Severity:
        """The rule's; what is not decided ends nothing."""
        return self.rule.severity if self.decided else Severity.ADVISORY


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is demanded, and why. Exactly one of `each` and `whole` is set."""

    name: str
    demands: str
    why: str
    source: str
    """A page of AWS or Pulumi."""
    severity: Severity = Severity.MANDATORY
    kinds: frozenset[str] | None = None
    """Kinds of resources that `each` judges; None: all of AWS."""
    each: Callable[[Resource, Context], Iterable[str]] | None = None
    """Messages about one resource."""
    whole: Callable[[Context], Iterable[str]] | None = None
    """Messages about the stack."""
    alone: bool = True
    """The resource alone decides `each`; False: it looks at others, too."""

    def findings(self, context: Context) -> Iterator[Finding]:
        """Everything that violates the rule."""
        if self.whole is not None:
            yield from self._found("", "", lambda: self.whole(context) if self.whole else ())
        for resource in context.stack.resources if self.each else ():
            yield from self.judge(resource, context)

    def judge(self, resource: Resource, context: Context) -> Iterator[Finding]:
        """Findings about one resource."""
        each = self.each
        judged = resource.kind in self.kinds if self.kinds is not None else bool(resource.kind)
        if each is not None and judged:
            yield from self._found(resource.urn, resource.name, lambda: each(resource, context))

    def _found(self, urn: str, name: str, messages: Callable[[], Iterable[str]]) -> Iterator[Finding]:
        try:
            for message in messages():
                yield Finding(rule=self, urn=urn, name=name, message=message)
        except Undecided as why:
            yield Finding(rule=self, urn=urn, name=name, message=str(why), decided=False)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            # A value that AWS does not accept, such as a policy that is not JSON, must not pass.
            why = f"cannot be checked, for a value has an unexpected form: {type(error).__name__}: {error}"
            yield Finding(rule=self, urn=urn, name=name, message=why)
