"""What a purpose's function gets and gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from petpark.targets.target import Target
from petpark.worker.order import Order
from registry.store.object_store import ObjectStore
from training.errors import Interrupted, TookTooLong


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a job found: one of its purpose's outcomes, and what people and the pipeline need to know."""

    outcome: str
    message: str | None = None
    version: int | None = None
    digest: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    report: str | None = None
    """An `s3://` URI."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """An order, and what its function acts by."""

    order: Order
    open_target: Callable[[str], Target]
    """Stack to its target, as the operator roles that the instance may take."""
    stack: str
    """The stack that owns the platform."""
    workspace: ObjectStore
    """As the instance's own role."""
    report: Callable[[str, Mapping[str, object]], object]
    """Logs an event with values for metric filters."""
    stop: Callable[[], str | None]
    pause: Callable[[float], object]
    clock: Callable[[], float]
    deadline: float
    """On `clock`; after it the job is out of time."""

    def target(self) -> Target:
        """The stack that owns the platform."""
        return self.open_target(self.stack)

    def check(self) -> None:
        """Raise Interrupted or TookTooLong where there is no time left."""
        if (why := self.stop()) is not None:
            raise Interrupted(why)
        if self.clock() >= self.deadline:
            raise TookTooLong(
                f"{self.order.purpose} was not done after {self.order.max_seconds} s; give it more time and start it "
                "again"
            )

    def wait(self, seconds: float) -> None:
        """Wait, unless there is no time left: Interrupted, TookTooLong."""
        self.check()
        self.pause(max(0.0, min(seconds, self.deadline - self.clock())))
        self.check()
