"""Cost of a month: jobs as recorded by the state machine `job`, stacks at list prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from petpark.reports.facts import Costs, Unknown, Why
from registry.layout.workspace import spending_prefix
from registry.telemetry import stack_prefix

if TYPE_CHECKING:
    from petpark.reports.month import Month
    from petpark.targets.stacks import ListPrices, StackOutputs
    from registry.store.object_info import Stored

MONTH_HOURS: Final = 730
"""Of `infra.configuration.costs`, for which a stack's list price was computed."""

_MICROS: Final = 1_000_000
_GB: Final = 2**30
"""By which S3 charges. https://aws.amazon.com/s3/pricing/"""
_PAID: Final = "/paid/"


class Lists(Protocol):
    """The part of ObjectStore that summing needs."""

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See ObjectStore."""
        ...


class ListsSizes(Protocol):
    """The part of ObjectStore that measuring sizes needs."""

    def stats(self, prefix: str) -> Iterator[Stored]:
        """See ObjectStore."""
        ...


def read_costs(
    workspace: Lists, lake: ListsSizes, own: StackOutputs, stacks: Sequence[StackOutputs], month: Month, hours: float
) -> Costs:
    """Returns the costs of `hours` of a month. `stacks`: all that are deployed on one platform, `own` among them.

    Costs of jobs are recorded by UTC month. A running attempt has no recorded cost yet.
    """
    dated = [each.list_prices for each in stacks if each.list_prices is not None]
    booked = any(each.pipeline is not None for each in stacks)
    return Costs(
        stacks=_stacks(stacks, hours),
        jobs=_jobs(workspace, str(month)) if booked else Unknown(why=Why.NO_PIPELINE),
        telemetry=_telemetry(lake, own.stack, own.list_prices, hours),
        prices_of=min((each.prices_of for each in dated), default=""),
    )


def _stacks(stacks: Sequence[StackOutputs], hours: float) -> Mapping[str, float] | Unknown:
    found: dict[str, float] = {}
    for each in sorted(stacks, key=lambda stack: stack.stack):
        if each.list_prices is None:
            return Unknown(why=Why.NO_PRICES)
        found[each.stack] = each.list_prices.month * hours / MONTH_HOURS
    return found


def _telemetry(lake: ListsSizes, stack: str, prices: ListPrices | None, hours: float) -> float | Unknown:
    if prices is None:
        return Unknown(why=Why.NO_PRICES)
    stored = sum(each.bytes for each in lake.stats(stack_prefix(stack)))
    return stored / _GB * prices.gb_month * hours / MONTH_HOURS


def _jobs(workspace: Lists, month: str) -> float:
    keys = (key for key in workspace.keys(spending_prefix(month)) if _PAID in key)
    return sum(int(key.rpartition("/")[2]) for key in keys) / _MICROS
