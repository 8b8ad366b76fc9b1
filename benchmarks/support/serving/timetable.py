"""What happens when during a soak: decided before it begins, so that nothing is left out because something was late."""

from dataclasses import dataclass
from typing import Literal

type Action = Literal["swap", "outage", "outage over", "experiment", "experiment over"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long, how hard, how often. Times in seconds."""

    seconds: float = 600.0
    share: float = 0.8
    """Of the load that the endpoint could carry, measured before."""
    connections: int = 8
    most_per_second: float = float("inf")
    swap_every: float = 10.0
    outage_every: float = 120.0
    outage_seconds: float = 20.0
    settling: float = 12.0
    """After an outage: a poll that hangs, and the one after it, before the next swap."""
    warm_up: float = 60.0
    """Left out of the memory's trend: the second version, the caches and the threads come into being."""
    measuring: float = 8.0
    """Of full load, before."""
    manner_every: float = 1.0
    leak_mb_a_minute: float = 0.25
    """The whole interval of the memory's trend beyond it is a leak."""
    timeout: float = 30.0
    """Until a swap must be followed; two polls on a machine that others use too."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing to do, `at` seconds from the beginning."""

    at: float
    action: Action


def timetable(plan: Plan) -> list[Event]:
    """Every event in its order. No swap and no experiment while the store is away or is being found again."""
    outages: list[float] = []
    while (at := plan.outage_every / 2 + len(outages) * plan.outage_every) + plan.outage_seconds + plan.settling < (
        plan.seconds
    ):
        outages.append(at)
    away = [(at - plan.swap_every, at + plan.outage_seconds + plan.settling) for at in outages]
    events = [Event(at=at, action="outage") for at in outages]
    events += [Event(at=at + plan.outage_seconds, action="outage over") for at in outages]
    count = int(plan.seconds / plan.swap_every)
    swaps = [plan.swap_every * (number + 0.5) for number in range(count)]
    swaps = [at for at in swaps if not any(begin < at < end for begin, end in away)]
    for number, at in enumerate(swaps):
        events.append(Event(at=at, action="swap"))
        if number % 2:
            events.append(Event(at=at + 0.2 * plan.swap_every, action="experiment"))
            events.append(Event(at=at + 0.9 * plan.swap_every, action="experiment over"))
    return sorted(events, key=lambda event: event.at)
