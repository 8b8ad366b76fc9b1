"""What a stack costs with its settings, at AWS's list prices in the stack's region. Pure: settings and prices in.

Without tax, free tier, savings plans and credits; each line states what it assumes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from infra.configuration.prices import PriceTable, PriceUnknown, RegionPrices
from infra.configuration.schedules import runs_per_month
from infra.configuration.settings import StackSettings

HOURS = 730
"""Hours per month, as in AWS's own calculator."""

COMPONENTS = ("endpoint", "monitoring", "platform")
"""What has a monthly cost, in this order; training is paid for by the hour."""

DATA_GB, LOGS_GB, ALARMS = 50, 2, 11
"""Assumptions: GB of photos and models, GB of logs per month, the most alarms on single signals of an endpoint."""

MACHINE_METRICS, SPENDING_METRICS, FOUND_METRICS = 24, 1, 3
"""Metrics of the owner's alarms: on state machines, on spending, and on the drift jobs of each stack."""

SMALL_JOB_MINUTES = 10
"""Assumption, not measured: duration of a scheduled job on a small instance, from launch to termination."""

OBJECTIVE_METRICS: Mapping[str, int] = MappingProxyType({"instance": 4, "autoscaled": 5})
"""Metrics in the two objectives' alarms, by kind of endpoint; each alarm costs as many alarms as it reads metrics."""

WINDOWS, NOTIFYING = 6, 4
"""Windows of an objective, each with an alarm; composite alarms of both objectives."""

COMPOSITE_ALARM, DASHBOARD = 0.5, 3.0
"""USD a month in all regions of the table. https://aws.amazon.com/cloudwatch/pricing/, November 2026"""

EGRESS_GB, KMS_REQUESTS, PHOTOS = 10, 100_000, 100_000
"""Assumptions per month: GB of answers to the internet, requests to KMS, photos written and read once."""

POLLED_OBJECTS = 3
"""Reads of each poll: the channel, decisions about its version, experiments. docs/design/scale.md"""

METRICS: Mapping[str, int] = MappingProxyType({"instance": 11, "autoscaled": 8})
"""Metric filters on an endpoint's logs, by its kind; a load balancer's own metrics are free."""

_BALANCER_ZONES = 2
_KEYS = 2
_SECONDS = HOURS * 3600


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something with a monthly cost in USD: which of `COMPONENTS` it is part of, and what was assumed."""

    component: str
    name: str
    month: float
    assumption: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """A cost before and after; `unit` is what it is paid for. A stack without training has none of it: 0."""

    component: str
    before: float
    after: float
    unit: str = "month"


def monthly(settings: StackSettings, table: PriceTable) -> list[Item]:
    """What the stack costs per month without training, with the fewest instances of its endpoint.

    Raises `PriceUnknown`.
    """
    prices = table.region(settings.region)
    return [*_endpoint(settings, prices), *_monitoring(settings, prices), *_platform(settings, prices)]


def listed(settings: StackSettings, table: PriceTable) -> dict[str, str | float] | None:
    """The stack's list prices for reports: USD per month without training, and per GB-month of stored objects.

    `prices_of` is the date of the oldest price in the table. None if the table lacks a price.
    """
    try:
        prices = table.region(settings.region)
        stored = prices.service("s3_gb_month")
    except PriceUnknown:
        return None
    if (month := month_total(settings, table)) is None:
        return None
    return {"month": month, "gb_month": stored, "prices_of": prices.oldest.isoformat()}


def month_total(settings: StackSettings, table: PriceTable) -> float | None:
    """The stack's list price in USD per month without training. None if the table lacks a price."""
    try:
        return round(sum(item.month for item in monthly(settings, table)), 2)
    except PriceUnknown:
        return None


def training_hour(settings: StackSettings, table: PriceTable) -> float:
    """What an hour of training costs at most: instances on demand, disks, addresses. Raises `PriceUnknown`.

    Spot is usually less than half of it, at a price that changes: https://aws.amazon.com/ec2/spot/pricing/.
    """
    training, prices = settings.training, table.region(settings.region)
    disk = training.volume_gb * prices.service("gp3_gb_month") / HOURS
    instance = prices.instance_hour(training.instance_types[0].name)
    return training.instances * (instance + disk + prices.service("public_ipv4_hour"))


def compare(before: StackSettings, after: StackSettings, table: PriceTable) -> list[Change]:
    """USD a month of each component, and USD an hour of training, with both settings. Raises `PriceUnknown`."""
    old, new = (by_component(monthly(settings, table)) for settings in (before, after))
    changes = [Change(component=name, before=old[name], after=new[name]) for name in COMPONENTS]
    hours = [training_hour(each, table) if each.platform_stack is None else 0.0 for each in (before, after)]
    return [*changes, Change(component="training", before=hours[0], after=hours[1], unit="hour")]


def by_component(items: list[Item]) -> dict[str, float]:
    """USD a month of each of `COMPONENTS`; 0 for what the stack does not have."""
    return {name: sum(item.month for item in items if item.component == name) for name in COMPONENTS}


def _endpoint(settings: StackSettings, prices: RegionPrices) -> Iterator[Item]:
    endpoint = settings.endpoint
    autoscaled = endpoint.kind == "autoscaled"
    count = endpoint.min_instances if autoscaled else 1
    fewest = "the fewest instances, all hours of a month" if autoscaled else "all hours of a month"

    def item(name: str, month: float, assumption: str) -> Item:
        return Item(component="endpoint", name=name, month=month, assumption=assumption)

    hour = prices.instance_hour(endpoint.instance_type.name)
    yield item(f"{count} x {endpoint.instance_type.name}", count * HOURS * hour, fewest)
    disk = count * endpoint.volume_gb * prices.service("gp3_gb_month")
    yield item(f"{count} x {endpoint.volume_gb} GB gp3", disk, "no more than gp3's own speed")
    addresses = count + (_BALANCER_ZONES if autoscaled else 0)
    zones = f"one an instance, and {_BALANCER_ZONES} of the load balancer" if autoscaled else "one an instance"
    yield item(f"{addresses} public IPv4", addresses * HOURS * prices.service("public_ipv4_hour"), zones)
    if autoscaled:
        balancer = HOURS * (prices.service("load_balancer_hour") + prices.service("capacity_unit_hour"))
        yield item("load balancer", balancer, "one capacity unit at most: 1 GB and 25 new connections/s an hour")
    reads = count * POLLED_OBJECTS * _SECONDS / endpoint.poll_seconds
    polls = reads / 1000 * prices.service("s3_1k_reads")
    yield item("polls of the registry", polls, f"{POLLED_OBJECTS} reads every {endpoint.poll_seconds} s an instance")
    egress = EGRESS_GB * prices.service("data_out_gb")
    yield item("data to the internet", egress, f"{EGRESS_GB} GB of answers; none between zones or regions")


def _monitoring(settings: StackSettings, prices: RegionPrices) -> Iterator[Item]:
    def item(name: str, month: float, assumption: str) -> Item:
        return Item(component="monitoring", name=name, month=month, assumption=assumption)

    owner = settings.platform_stack is None
    found = FOUND_METRICS * len(_compared(settings))
    of_pipeline = MACHINE_METRICS + SPENDING_METRICS + found if owner else 0
    metrics = ALARMS + WINDOWS * OBJECTIVE_METRICS[settings.endpoint.kind] + of_pipeline
    yield item(f"alarms on {metrics} metrics", metrics * prices.service("alarm_month"), "at most")
    composite = NOTIFYING * COMPOSITE_ALARM
    yield item(f"{NOTIFYING} composite alarms", composite, "a page and a ticket for each objective")
    yield item("dashboard", DASHBOARD, "not among an account's first three, which are free")
    metrics = METRICS[settings.endpoint.kind] + (found + SPENDING_METRICS if owner else 0)
    yield item(f"{metrics} metrics of its own", metrics * prices.service("metric_month"), "each seen every hour")
    stored = LOGS_GB * settings.log_days * 12 / 365  # GB at any time
    logs = LOGS_GB * prices.service("log_gb") + stored * prices.service("log_gb_month")
    yield item("logs", logs, f"{LOGS_GB} GB a month, kept for {settings.log_days} days, uncompressed")


def _compared(settings: StackSettings) -> tuple[str, ...]:
    """The stacks with drift jobs."""
    pipeline = settings.pipeline
    return () if settings.platform_stack or pipeline.drift_schedule is None else pipeline.drift_stacks


def _scheduled_jobs(settings: StackSettings) -> list[tuple[str, float]]:
    """Scheduled jobs on small instances, with their number per month."""
    pipeline, compared = settings.pipeline, _compared(settings)
    jobs = [
        (f"comparisons of recorded predictions, of {', '.join(compared)}", pipeline.drift_schedule, len(compared)),
        ("monthly reports", pipeline.report_schedule, 1),
        ("monitoring pages", pipeline.monitoring_schedule, 1),
    ]
    return [(name, each * runs_per_month(schedule)) for name, schedule, each in jobs if schedule is not None]


def _platform(settings: StackSettings, prices: RegionPrices) -> Iterator[Item]:
    if settings.platform_stack is not None:
        return

    def item(name: str, month: float, assumption: str) -> Item:
        return Item(component="platform", name=name, month=month, assumption=assumption)

    requests = KMS_REQUESTS / 10_000 * prices.service("kms_10k_requests")
    keys = _KEYS * prices.service("kms_key_month") + requests
    yield item(f"{_KEYS} KMS keys", keys, f"{KMS_REQUESTS:,} requests a month; buckets ask once for many objects")
    kind = settings.pipeline.small_types[0].name
    hour = prices.instance_hour(kind) + prices.service("public_ipv4_hour")
    for name, count in _scheduled_jobs(settings):
        usd = count * SMALL_JOB_MINUTES / 60 * hour
        yield item(f"{count:.0f} {name}", usd, f"{SMALL_JOB_MINUTES} minutes each on a {kind}")
    yield item("S3 storage", DATA_GB * prices.service("s3_gb_month"), f"{DATA_GB} GB of photos and models")
    each = prices.service("s3_1k_writes") + prices.service("s3_1k_reads")
    yield item("S3 requests", PHOTOS / 1000 * each, f"{PHOTOS:,} photos a month, written and read once")
