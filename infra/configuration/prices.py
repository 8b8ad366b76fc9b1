"""AWS's list prices, and what instance types have, from the dated table in `prices.json`. Pure but for reading it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from infra.configuration.instance_types import Architecture

FILE = Path(__file__).with_name("prices.json")

STALE_DAYS = 180
"""Prices older than this are shown with a warning."""

SERVICES: Mapping[str, str] = MappingProxyType(
    {
        "alarm_month": "an alarm at standard resolution, a month",
        "capacity_unit_hour": "a load balancer's capacity unit, an hour",
        "data_out_gb": "a GB to the internet, of the first 10 TB a month",
        "gp3_gb_month": "a GB of a gp3 disk, a month",
        "kms_10k_requests": "10,000 requests to a symmetric KMS key",
        "kms_key_month": "a KMS key, a month",
        "load_balancer_hour": "an application load balancer, an hour",
        "log_gb": "a GB written to a log",
        "log_gb_month": "a GB of stored log, a month",
        "metric_month": "a custom metric, a month",
        "public_ipv4_hour": "a public IPv4 address, an hour",
        "s3_1k_reads": "1,000 reads (GET) of S3 Standard",
        "s3_1k_writes": "1,000 writes or listings (PUT, COPY, POST, LIST) of S3 Standard",
        "s3_gb_month": "a GB in S3 Standard, a month, of the first 50 TB",
    }
)
"""What is priced apart from instances, and the unit of each price."""


class PriceUnknown(ValueError):
    """The table has no price for this instance type, or for this region."""


class TableUnusable(ValueError):
    """The file is no table of prices; the message says where."""


@dataclass(frozen=True, kw_only=True)
class TypeFacts:
    """What an instance type has. Memory in GiB; `gpu_memory_gb` is that of one GPU, as the card is named."""

    architecture: Architecture
    vcpus: int
    memory_gb: float
    gpu: str | None = None
    gpus: int = 0
    gpu_memory_gb: float = 0


@dataclass(frozen=True, kw_only=True)
class Section:
    """Prices in US dollars that were read together: `date` is the oldest that their source states."""

    date: date
    source: str
    usd: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class RegionPrices:
    """Prices of one region: instances per hour by type, and `SERVICES`."""

    name: str
    instances: Section
    services: Section

    @property
    def oldest(self) -> date:
        """The older of its two dates."""
        return min(self.instances.date, self.services.date)

    def age_days(self, today: date) -> int:
        """Whole days since its older date; 0 for a date that is still to come."""
        return max(0, (today - self.oldest).days)

    def instance_hour(self, type_: str) -> float:
        """USD per hour on demand. Raises `PriceUnknown`."""
        try:
            return self.instances.usd[type_]
        except KeyError:
            known = ", ".join(sorted(self.instances.usd))
            raise PriceUnknown(f"{FILE.name} has no price for {type_} in {self.name}, only for {known}") from None

    def service(self, name: str) -> float:
        """USD for what `SERVICES` says. Raises `PriceUnknown`."""
        try:
            return self.services.usd[name]
        except KeyError:
            raise PriceUnknown(f"{FILE.name} has no price for {SERVICES[name]} in {self.name}") from None


@dataclass(frozen=True, kw_only=True)
class PriceTable:
    """The whole table: facts of instance types with their date and source, and prices by region."""

    about: str
    facts_date: date
    facts_source: str
    types: Mapping[str, TypeFacts]
    regions: Mapping[str, RegionPrices]

    def region(self, name: str) -> RegionPrices:
        """Prices of a region. Raises `PriceUnknown`."""
        try:
            return self.regions[name]
        except KeyError:
            known = ", ".join(sorted(self.regions))
            raise PriceUnknown(f"{FILE.name} has no prices for {name}, only for {known}") from None


def age_notes(prices: RegionPrices, today: date) -> tuple[str, ...]:
    """How old a region's prices are, in sentences; the second is a warning beyond `STALE_DAYS`."""
    days = prices.age_days(today)
    sentence = (
        f"Prices of {prices.name}: instances of {prices.instances.date}, the rest of {prices.services.date}; "
        f"the older ones are {days} days old."
    )
    if days <= STALE_DAYS:
        return (sentence,)
    return (
        sentence,
        f"Warning: prices older than {STALE_DAYS} days may be wrong. `petpark prices refresh --region {prices.name}` "
        "reads today's.",
    )


def load(path: Path = FILE) -> PriceTable:
    """Read the table. Raises `TableUnusable`."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TableUnusable(f"{path} cannot be read: {error}") from None


def parse(text: str) -> PriceTable:
    """The table that `render` wrote. Raises `TableUnusable`."""
    try:
        document = cast("dict[str, Any]", json.loads(text))
        types = document["types"]
        return PriceTable(
            about=document["about"],
            facts_date=date.fromisoformat(types["date"]),
            facts_source=types["source"],
            types=MappingProxyType({name: TypeFacts(**facts) for name, facts in types["facts"].items()}),
            regions=MappingProxyType({name: _region(name, found) for name, found in document["regions"].items()}),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise TableUnusable(f"{FILE.name} is no table of prices: {type(error).__name__}: {error}") from None


def render(table: PriceTable) -> str:
    """The table as text: sorted, a value a line, so that a difference shows what changed."""
    document = {
        "about": table.about,
        "regions": {
            name: {
                "instances": _rendered(region.instances, "usd_hour"),
                "services": _rendered(region.services, "usd"),
            }
            for name, region in table.regions.items()
        },
        "types": {
            "date": table.facts_date.isoformat(),
            "source": table.facts_source,
            "facts": {name: _stated(facts) for name, facts in table.types.items()},
        },
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _region(name: str, found: dict[str, Any]) -> RegionPrices:
    return RegionPrices(
        name=name,
        instances=_section(found["instances"], "usd_hour"),
        services=_section(found["services"], "usd"),
    )


def _section(found: dict[str, Any], prices: str) -> Section:
    usd = {name: float(price) for name, price in found[prices].items()}
    if wrong := [name for name, price in usd.items() if not 0 < price < float("inf")]:
        raise ValueError(f"prices must be above 0: {', '.join(wrong)}")
    return Section(date=date.fromisoformat(found["date"]), source=found["source"], usd=MappingProxyType(usd))


def _rendered(section: Section, prices: str) -> dict[str, object]:
    return {"date": section.date.isoformat(), "source": section.source, prices: dict(section.usd)}


def _stated(facts: TypeFacts) -> dict[str, object]:
    stated: dict[str, object] = {
        "architecture": facts.architecture,
        "vcpus": facts.vcpus,
        "memory_gb": facts.memory_gb,
    }
    if facts.gpu is not None:
        stated |= {"gpu": facts.gpu, "gpus": facts.gpus, "gpu_memory_gb": facts.gpu_memory_gb}
    return stated
