"""What a stack costs with its settings, at AWS's list prices. Pure: settings in, lines out.

The prices are those of `REGION` in `READ`, in US dollars, without tax, free tier, savings plans and credits. AWS
changes them, and other regions have others: https://calculator.aws has today's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from infra.configuration.settings import StackSettings

REGION = "us-east-1"
READ = "October 2026"
HOURS = 730
"""Hours per month, as in AWS's own calculator."""

INSTANCE_HOUR: Mapping[str, float] = MappingProxyType(
    {
        # https://aws.amazon.com/ec2/pricing/on-demand/
        "c7i.large": 0.08925,
        "c7i.xlarge": 0.1785,
        "g5.xlarge": 1.006,
        "g4dn.xlarge": 0.526,
        "g6.xlarge": 0.8048,
    }
)

# https://aws.amazon.com/ebs/pricing/
GP3_GB_MONTH = 0.08
# https://aws.amazon.com/elasticloadbalancing/pricing/
BALANCER_HOUR, CAPACITY_UNIT_HOUR = 0.0225, 0.008
# https://aws.amazon.com/vpc/pricing/
ADDRESS_HOUR = 0.005
# https://aws.amazon.com/kms/pricing/
KEY_MONTH = 1.0
# https://aws.amazon.com/cloudwatch/pricing/
ALARM_MONTH, METRIC_MONTH, LOG_GB = 0.10, 0.30, 0.50
# https://aws.amazon.com/s3/pricing/
STORAGE_GB_MONTH = 0.023

DATA_GB, LOGS_GB, ALARMS = 50, 2, 10
"""Assumptions: GB of photos and models, GB of logs per month, the most alarms."""

METRICS: Mapping[str, int] = MappingProxyType({"instance": 6, "autoscaled": 3})
"""Metrics made from log lines, by kind of endpoint; a load balancer's own metrics are free."""

_BALANCER_ZONES = 2
_KEYS = 2


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something with a monthly cost."""

    name: str
    month: float


class PriceUnknown(ValueError):
    """The table has no price for an instance type."""


def monthly(settings: StackSettings) -> list[Item]:
    """What the stack costs per month without training, with the fewest instances of its endpoint.

    Raises `PriceUnknown`.
    """
    return [*_endpoint(settings), *_monitoring(settings), *_platform(settings)]


def training_hour(settings: StackSettings) -> float:
    """What an hour of training costs at most: instances on demand, disks, addresses. Raises `PriceUnknown`.

    Spot is usually less than half of it, at a price that changes: https://aws.amazon.com/ec2/spot/pricing/.
    """
    training = settings.training
    price = _hour(training.instance_types[0].name)
    disk = training.volume_gb * GP3_GB_MONTH / HOURS
    return training.instances * (price + disk + ADDRESS_HOUR)


def _endpoint(settings: StackSettings) -> Iterator[Item]:
    endpoint = settings.endpoint
    autoscaled = endpoint.kind == "autoscaled"
    count = endpoint.min_instances if autoscaled else 1
    yield Item(
        name=f"{count} x {endpoint.instance_type.name}", month=count * HOURS * _hour(endpoint.instance_type.name)
    )
    yield Item(name=f"{count} x {endpoint.volume_gb} GB gp3", month=count * endpoint.volume_gb * GP3_GB_MONTH)
    addresses = count + (_BALANCER_ZONES if autoscaled else 0)
    yield Item(name=f"{addresses} public IPv4 addresses", month=addresses * HOURS * ADDRESS_HOUR)
    if autoscaled:
        hour = BALANCER_HOUR + CAPACITY_UNIT_HOUR
        yield Item(name="load balancer, one capacity unit at most", month=HOURS * hour)


def _monitoring(settings: StackSettings) -> Iterator[Item]:
    yield Item(name=f"{ALARMS} alarms at most", month=ALARMS * ALARM_MONTH)
    metrics = METRICS[settings.endpoint.kind]
    yield Item(name=f"{metrics} metrics from the log", month=metrics * METRIC_MONTH)
    yield Item(name=f"logs, {LOGS_GB} GB written", month=LOGS_GB * LOG_GB)


def _platform(settings: StackSettings) -> Iterator[Item]:
    if settings.platform_stack is None:
        yield Item(name=f"{_KEYS} KMS keys", month=_KEYS * KEY_MONTH)
        yield Item(name=f"S3, {DATA_GB} GB of photos and models", month=DATA_GB * STORAGE_GB_MONTH)


def _hour(type_: str) -> float:
    try:
        return INSTANCE_HOUR[type_]
    except KeyError:
        known = ", ".join(INSTANCE_HOUR)
        raise PriceUnknown(
            f"infra/configuration/costs.py has no price for {type_}, only for {known}: add it there"
        ) from None
