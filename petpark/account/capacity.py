"""Instance types against the zones of the stack: not every zone has every type."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from petpark.account.cloud import Account
from petpark.account.demand import fleets
from petpark.doctor import Check, Health

if TYPE_CHECKING:
    from infra.configuration.settings import StackSettings


def check(account: Account, stack: str, settings: "StackSettings") -> Sequence[Check]:
    """A check for each instance type. Names of zones differ between accounts, so only AWS can answer."""
    required = fleets(settings)
    types = sorted({type_ for fleet in required for type_ in fleet.types})
    offered = _offered(account, types)
    common = sorted(set[str].intersection(*(set[str]().union(*(offered[one] for one in f.types)) for f in required)))
    only = {fleet.types[0] for fleet in required if len(fleet.types) == 1}
    return [_type(account, stack, settings, type_, offered[type_], common, type_ in only) for type_ in types]


def _offered(account: Account, types: Sequence[str]) -> Mapping[str, set[str]]:
    """The zones in which each type is offered.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html
    """
    found = account.pages(
        "ec2",
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": list(types)}],
    )
    zones: dict[str, set[str]] = {type_: set() for type_ in types}
    for entry in found:
        zones[entry["InstanceType"]].add(entry["Location"])
    return zones


def _type(
    account: Account,
    stack: str,
    settings: "StackSettings",
    type_: str,
    offered: set[str],
    common: Sequence[str],
    only: bool,
) -> Check:
    """Judge one type; `only`: there is no alternative to it."""
    name = f"instance type: {type_}"
    lacking = [zone for zone in settings.zones if zone not in offered]
    if not lacking:
        return Check(name=name, health=Health.FINE, found=f"offered in {', '.join(settings.zones)}")
    if not offered:
        fix = f"aws ec2 describe-instance-type-offerings --region {account.region}, then another type"
        health = Health.MISSING if only else Health.ABSENT
        return Check(name=name, health=health, found=f"not offered in {account.region}", fix=fix)
    found = f"not offered in {', '.join(lacking)}; offered in {', '.join(sorted(offered))}"
    fix = (
        f"pulumi config set petpark:zones {','.join(common[:2])} --stack {stack}"
        if len(common) > 1
        else "another type, or another region"
    )
    # The one instance of an endpoint without a group is in the first zone.
    alone = settings.endpoint.kind == "instance" and settings.endpoint.instance_type.name == type_
    usable = settings.zones[0] in offered if alone else not only or len(lacking) < len(settings.zones)
    return Check(name=name, health=Health.ABSENT if usable else Health.MISSING, found=found, fix=fix)
