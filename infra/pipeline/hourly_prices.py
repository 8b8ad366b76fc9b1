"""What an instance of a job costs in an hour. Pure."""

from collections.abc import Sequence

from infra.configuration.costs import HOURS
from infra.configuration.instance_types import InstanceType
from infra.configuration.prices import PriceUnknown, RegionPrices


def hourly(prices: RegionPrices, types: Sequence[InstanceType], volume_gb: int) -> dict[str, float]:
    """USD by type, on demand, with disk and address. A type without a price counts as the dearest of the others.

    Raises `PriceUnknown` if the table has a price for none of them: no cap could be kept.
    """
    around = volume_gb * prices.service("gp3_gb_month") / HOURS + prices.service("public_ipv4_hour")
    known = {kind.name: prices.instances.usd[kind.name] for kind in types if kind.name in prices.instances.usd}
    if not known:
        names = ", ".join(kind.name for kind in types)
        raise PriceUnknown(f"no price for any of {names} in {prices.name}: petpark prices refresh reads them")
    dearest = max(known.values())
    return {kind.name: round(known.get(kind.name, dearest) + around, 6) for kind in types}
