"""Instance types for a need, cheapest first. Pure: the need and the table of prices in, a ranking out."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from infra.configuration.instance_types import Architecture
from infra.configuration.prices import PriceTable, TypeFacts

EXAMPLE = "24 GB of GPU memory, 8 vCPU, at most 1.5 USD/h"

_NEAREST = 3
"""How many types that almost satisfy a need are named."""


class NeedUnclear(ValueError):
    """A part of the text states no need, or states one again."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """What an instance must have; None: anything will do. `gpu_memory_gb` is that of each GPU, in GB."""

    gpu_memory_gb: float | None = None
    gpus: int | None = None
    vcpus: int | None = None
    memory_gb: float | None = None
    usd_hour: float | None = None
    architecture: Architecture | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A type that satisfies the need."""

    name: str
    usd_hour: float
    facts: TypeFacts


@dataclass(frozen=True, kw_only=True)
class Miss:
    """A type that does not, and each reason in a few words."""

    name: str
    usd_hour: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """All types that satisfy the need, cheapest first; the nearest misses only if there are none."""

    choices: tuple[Choice, ...]
    misses: tuple[Miss, ...] = ()


def pick(need: Need, table: PriceTable, *, region: str) -> Ranking:
    """Rank the types that have a price in `region`; equal prices by name. Raises `PriceUnknown` for the region."""
    prices = table.region(region).instances.usd
    priced = [
        Choice(name=name, usd_hour=prices[name], facts=facts) for name, facts in table.types.items() if name in prices
    ]
    choices = sorted((each for each in priced if not _lacks(need, each)), key=lambda each: (each.usd_hour, each.name))
    if choices:
        return Ranking(choices=tuple(choices))
    misses = sorted(priced, key=lambda each: (*_distance(need, each), each.usd_hour, each.name))[:_NEAREST]
    return Ranking(
        choices=(),
        misses=tuple(
            Miss(name=each.name, usd_hour=each.usd_hour, reasons=tuple(reason for reason, _ in _lacks(need, each)))
            for each in misses
        ),
    )


def parse_need(text: str) -> Need:
    """Read a need such as `EXAMPLE`: parts separated by commas, in any order, each at most once.

    Raises `NeedUnclear`, which names the part and says which there are.
    """
    found: dict[str, int | float | str] = {}
    for part in (part.strip() for part in text.split(",")):
        field, value = _part(part)
        if field in found:
            raise NeedUnclear(f"{part!r} states again what another part states; say each once")
        found[field] = value
    return Need(**found)  # pyright: ignore[reportArgumentType]  the patterns give each field its type


_NUMBER = r"(?P<value>[0-9]{1,6}(?:\.[0-9]{1,4})?)"
_PARTS: tuple[tuple[str, str, Callable[[str], int | float | str]], ...] = (
    ("gpu_memory_gb", rf"{_NUMBER} GB of GPU memory", float),
    ("gpus", r"(?P<value>[0-9]{1,3}) GPUs?", int),
    ("vcpus", r"(?P<value>[0-9]{1,4}) vCPUs?", int),
    ("memory_gb", rf"{_NUMBER} GB of memory", float),
    ("usd_hour", rf"at most {_NUMBER} USD/h", float),
    ("architecture", r"(?P<value>x86_64|arm64)", str),
)
_FORMS = (
    '"24 GB of GPU memory" (of each GPU), "2 GPUs", "8 vCPU", "32 GB of memory", "at most 1.5 USD/h", '
    '"x86_64" or "arm64"'
)


def _part(part: str) -> tuple[str, int | float | str]:
    for field, pattern, read in _PARTS:
        if match := re.fullmatch(pattern, part, re.ASCII):
            value = read(match["value"])
            if value == 0:
                raise NeedUnclear(f"{part!r} requires nothing: omit it, or state more than 0")
            return field, value
    raise NeedUnclear(f"{part!r} is not understood; parts are separated by commas: {_FORMS}")


def _lacks(need: Need, choice: Choice) -> list[tuple[str, float]]:
    """What keeps a type from satisfying the need: in words, and by what share of what is needed."""
    return list(_gaps(need, choice))


def _gaps(need: Need, choice: Choice) -> Iterator[tuple[str, float]]:
    facts = choice.facts
    least = (
        (need.gpu_memory_gb, facts.gpu_memory_gb, "GB of memory in each GPU"),
        (need.gpus, facts.gpus, "GPUs"),
        (need.vcpus, facts.vcpus, "vCPU"),
        (need.memory_gb, facts.memory_gb, "GB of memory"),
    )
    for wanted, there, unit in least:
        if wanted is not None and there < wanted:
            yield f"has {there:g} {unit}, not {wanted:g}", (wanted - there) / wanted
    if need.usd_hour is not None and choice.usd_hour > need.usd_hour:
        yield f"costs {choice.usd_hour:g} USD/h, not {need.usd_hour:g}", choice.usd_hour / need.usd_hour - 1
    if need.architecture is not None and facts.architecture != need.architecture:
        yield f"is {facts.architecture}, not {need.architecture}", 1.0


def _distance(need: Need, choice: Choice) -> tuple[int, float]:
    """Fewer things missing come first, then less of them."""
    gaps = _lacks(need, choice)
    return len(gaps), sum(share for _, share in gaps)
