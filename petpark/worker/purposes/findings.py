"""Argument and return value of a purpose's function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from petpark.targets.target import Target
from petpark.worker.order import Order
from registry.store.object_store import ObjectStore
from training.errors import Interrupted, TookTooLong


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Result of a job: one of its purpose's outcomes, with details for people and the pipeline."""

    outcome: str
    message: str | None = None
    version: int | None = None
    digest: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    report: str | None = None
    """An `s3://` URI."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """An order, and the services that its function uses."""

    order: Order
    open_target: Callable[[str], Target]
    """Returns the target of a stack, with the operator roles that the instance may assume."""
    stack: str
    """Name of the stack that owns the platform."""
    workspace: ObjectStore
    """Accessed with the instance's own role."""
    report: Callable[[str, Mapping[str, object]], object]
    """Logs an event with values for metric filters."""
    stop: Callable[[], str | None]
    pause: Callable[[float], object]
    clock: Callable[[], float]
    deadline: float
    """Time limit of the job, on `clock`."""

    def target(self) -> Target:
        """Returns the target of the stack that owns the platform."""
        return self.open_target(self.stack)

    def check(self) -> None:
        """Raise Interrupted if the job must stop, TookTooLong after its deadline."""
        if (why := self.stop()) is not None:
            raise Interrupted(why)
        if self.clock() >= self.deadline:
            raise TookTooLong(
                f"{self.order.purpose} did not finish within {self.order.max_seconds} s; start it again with more time"
            )

    def wait(self, seconds: float) -> None:
        """Wait for `seconds`, at most until the deadline. Raises Interrupted, TookTooLong."""
        self.check()
        self.pause(max(0.0, min(seconds, self.deadline - self.clock())))
        self.check()
