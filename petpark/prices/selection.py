"""Which rows of AWS's price lists are the prices of the table. Pure: rows in, prices out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from petpark.prices.errors import PriceListRefused
from petpark.prices.price_list import PriceList, price, starts_at

EC2 = "AmazonEC2"

_TRANSFER = "AWSDataTransfer"

INSTANCE_COLUMNS = (
    "Instance Type", "Location Type", "Operating System", "Tenancy", "Pre Installed S/W", "CapacityStatus",
)  # fmt: skip
"""Columns of EC2's file besides those of all."""

# https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-ppslong.html: attributes of EC2's products.
_LINUX_ON_DEMAND = MappingProxyType(
    {
        "Location Type": "AWS Region",
        "Operating System": "Linux",
        "Tenancy": "Shared",
        "Pre Installed S/W": "NA",
        "CapacityStatus": "Used",
        "Unit": "Hrs",
    }
)


@dataclass(frozen=True, kw_only=True)
class Selector:
    """One price besides instances: whose list, the usage type without its region's prefix, and what must hold.

    `per` is how many units the table's price is for.
    """

    offer: str
    usage: str
    unit: str
    where: Mapping[str, str] = field(default_factory=dict[str, str])
    per: int = 1


SELECTORS: Mapping[str, Selector] = MappingProxyType(
    {
        "alarm_month": Selector(offer="AmazonCloudWatch", usage="CW:AlarmMonitorUsage", unit="Alarms"),
        "capacity_unit_hour": Selector(
            offer="AWSELB", usage="LCUUsage", unit="LCU-Hrs", where={"operation": "LoadBalancing:Application"}
        ),
        "data_out_gb": Selector(
            offer=_TRANSFER, usage="DataTransfer-Out-Bytes", unit="GB", where={"Transfer Type": "AWS Outbound"}
        ),
        "gp3_gb_month": Selector(offer=EC2, usage="EBS:VolumeUsage.gp3", unit="GB-Mo"),
        "kms_10k_requests": Selector(offer="awskms", usage="KMS-Requests", unit="Requests", per=10_000),
        "kms_key_month": Selector(offer="awskms", usage="KMS-Keys", unit="Keys"),
        "load_balancer_hour": Selector(
            offer="AWSELB", usage="LoadBalancerUsage", unit="Hrs", where={"operation": "LoadBalancing:Application"}
        ),
        "log_gb": Selector(offer="AmazonCloudWatch", usage="DataProcessing-Bytes", unit="GB"),
        "log_gb_month": Selector(offer="AmazonCloudWatch", usage="TimedStorage-ByteHrs", unit="GB-Mo"),
        "metric_month": Selector(offer="AmazonCloudWatch", usage="CW:MetricMonitorUsage", unit="Metrics"),
        "public_ipv4_hour": Selector(offer="AmazonVPC", usage="PublicIPv4:InUseAddress", unit="Hrs"),
        "s3_1k_reads": Selector(offer="AmazonS3", usage="Requests-Tier2", unit="Requests", per=1000),
        "s3_1k_writes": Selector(offer="AmazonS3", usage="Requests-Tier1", unit="Requests", per=1000),
        "s3_gb_month": Selector(offer="AmazonS3", usage="TimedStorage-ByteHrs", unit="GB-Mo"),
    }
)
"""Each of `infra.configuration.prices.SERVICES`."""


def columns(offer: str) -> tuple[str, ...]:
    """Columns that are read of a service's list besides those that all have."""
    named = {column for each in SELECTORS.values() if each.offer == offer for column in each.where}
    return (_region_column(offer), *(INSTANCE_COLUMNS if offer == EC2 else ()), *sorted(named - {"operation"}))


def _region_column(offer: str) -> str:
    """Data is transferred from one region to another, so its list names two."""
    return "From Region Code" if offer == _TRANSFER else "Region Code"


@dataclass
class Found:
    """Prices that were found: USD by instance type and by name in `SELECTORS`; and the region's prefix."""

    instances: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    services: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    prefixes: set[str] = field(default_factory=set[str])
    _from: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    """The quantity from which each of `services` counts, as far as it was read."""

    def read(self, listed: PriceList, *, region: str, types: Iterable[str]) -> None:
        """Take what `listed` has of it. EC2's list comes first: its rows tell the region's prefix.

        Raises `PriceListRefused`, also for two prices of one thing.
        """
        wanted = frozenset(types)
        selectors = {name: each for name, each in SELECTORS.items() if each.offer == listed.offer}
        column = _region_column(listed.offer)
        candidates: list[tuple[str, Mapping[str, str]]] = []  # few: decided when the prefix is known
        for row in listed.rows:
            if row[column] != region:
                continue
            if listed.offer == EC2:
                self._instance(row, wanted)
            candidates += [(name, row) for name, each in selectors.items() if row["usageType"].endswith(each.usage)]
        for name, row in candidates:
            if self._matches(row, SELECTORS[name], region):
                self._service(name, row, SELECTORS[name])

    def _instance(self, row: Mapping[str, str], wanted: frozenset[str]) -> None:
        type_, usage = row["Instance Type"], row["usageType"]
        if any(row[column] != value for column, value in _LINUX_ON_DEMAND.items()):
            return
        if not usage.endswith(f"BoxUsage:{type_}"):
            return
        self.prefixes.add(usage.removesuffix(f"BoxUsage:{type_}"))
        if type_ in wanted and (usd := price(row, offer=EC2)):
            self._once(self.instances, type_, usd, EC2)

    def _matches(self, row: Mapping[str, str], selector: Selector, region: str) -> bool:
        """Usage types begin with a short name of the region (EU-), in us-east-1 with none or USE1-, of KMS with all."""
        prefix = row["usageType"].removesuffix(selector.usage)
        if prefix not in self.prefixes | {f"{region}-"} and not (prefix == "USE1-" and "" in self.prefixes):
            return False
        conditions = {"Unit": selector.unit, **selector.where}
        return all(row[column] == value for column, value in conditions.items())

    def _service(self, name: str, row: Mapping[str, str], selector: Selector) -> None:
        """The first quantity that costs anything: free tiers come before it, discounts behind."""
        usd, begin = price(row, offer=selector.offer), starts_at(row, offer=selector.offer)
        known = self._from.get(name)
        if not usd or (known is not None and begin > known):
            return
        if known is not None and begin < known:
            del self.services[name]
        self._once(self.services, name, usd * selector.per, selector.offer)
        self._from[name] = begin

    @staticmethod
    def _once(found: dict[str, Decimal], name: str, usd: Decimal, offer: str) -> None:
        if found.setdefault(name, usd) != usd:
            raise PriceListRefused(
                f"The price list of {offer} has two prices for {name}: {found[name]:f} and {usd:f} USD.",
                next_step="petpark must learn which of its rows counts: nothing was changed here.",
            )
