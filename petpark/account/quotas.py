"""Service quotas against what the stack needs. In new accounts those of GPU instances are often 0."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from petpark.account.cloud import Account, Unchecked, unchecked
from petpark.account.demand import LOAD_BALANCERS, VPCS, Fleet, Quota, fleets, vcpu_quota
from petpark.doctor import Check, Health

if TYPE_CHECKING:
    from infra.configuration.settings import StackSettings

_ALIVE = ("pending", "running")
_STACK_TAG = "petpark:stack"


def check(account: Account, stack: str, settings: "StackSettings") -> Sequence[Check]:
    """A check for each quota that the stack counts against."""
    found = [*_instances(account, stack, fleets(settings))]
    found.append(_guarded(VPCS, lambda: _count(account, VPCS, _foreign_vpcs(account, stack), 1)))
    if settings.endpoint.kind == "autoscaled":
        found.append(_guarded(LOAD_BALANCERS, lambda: _count(account, LOAD_BALANCERS, _balancers(account), 1)))
    return found


def _instances(account: Account, stack: str, required: Sequence[Fleet]) -> Iterator[Check]:
    by_quota: dict[Quota, list[Fleet]] = defaultdict(list)
    for fleet in required:
        for type_ in fleet.types:
            quota = vcpu_quota(type_, spot=fleet.spot)
            if quota is None:
                name = f"quota for {type_}"
                yield unchecked(name, "unknown quota for this family", "see Service Quotas in the console")
            elif fleet not in by_quota[quota]:
                by_quota[quota].append(fleet)
    for quota, counted in by_quota.items():
        yield _guarded(quota, lambda quota=quota, counted=counted: _vcpus(account, stack, quota, counted))


def _vcpus(account: Account, stack: str, quota: Quota, counted: Sequence[Fleet]) -> Check:
    """Compare the quota with the largest of each fleet's types that counts against it."""
    limit = _limit(account, quota)
    running = _running(account, stack, quota)
    types = {fleet: [one for one in fleet.types if vcpu_quota(one, spot=fleet.spot) == quota] for fleet in counted}
    each = _vcpus_of(account, sorted({*running, *(one for those in types.values() for one in those)}))
    others = sum(each[type_] for type_ in running)
    largest = {fleet: max(each[one] for one in those) for fleet, those in types.items()}
    needed = sum(fleet.instances * largest[fleet] for fleet in counted)
    peak = sum(fleet.peak * largest[fleet] for fleet in counted)
    required = ", ".join(f"{fleet.instances} {' or '.join(types[fleet])} for {fleet.purpose}" for fleet in counted)
    used = f", {others} more in use" if others else ""
    found = f"{limit:.0f} vCPUs; needed {needed} ({required}){used}"
    name = f"quota: {quota.name}"
    if limit < others + needed:
        return Check(name=name, health=Health.MISSING, found=found, fix=_increase(account, quota, others + peak))
    if limit < others + peak:
        found += f"; {peak} while instances are replaced"
        return Check(name=name, health=Health.ABSENT, found=found, fix=_increase(account, quota, others + peak))
    return Check(name=name, health=Health.FINE, found=found)


def _count(account: Account, quota: Quota, others: int, needed: int) -> Check:
    limit = _limit(account, quota)
    found = f"{limit:.0f}; needed {needed}, {others} more in use"
    name = f"quota: {quota.name}"
    if limit < others + needed:
        return Check(name=name, health=Health.MISSING, found=found, fix=_increase(account, quota, others + needed))
    return Check(name=name, health=Health.FINE, found=found)


def _limit(account: Account, quota: Quota) -> float:
    """The account's applied value, else AWS's default: if it was never changed there may be no applied value.

    https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
    """
    which = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    found = account.call("service-quotas", "get_service_quota", absent=("NoSuchResourceException",), **which)
    if found is None:
        found = account.call("service-quotas", "get_aws_default_service_quota", **which)
    return float(found["Quota"]["Value"])


def _vcpus_of(account: Account, types: Sequence[str]) -> dict[str, int]:
    found = account.call("ec2", "describe_instance_types", absent=("InvalidInstanceType",), InstanceTypes=list(types))
    if found is None:
        raise Unchecked(f"{', '.join(types)} is not offered in {account.region}")
    return {entry["InstanceType"]: entry["VCpuInfo"]["DefaultVCpus"] for entry in found["InstanceTypes"]}


def _running(account: Account, stack: str, quota: Quota) -> list[str]:
    """Types of the running instances that count against `quota`, without those of the stack itself."""
    filters = [{"Name": "instance-state-name", "Values": list(_ALIVE)}]
    found = account.pages("ec2", "describe_instances", "Reservations", Filters=filters)
    return [
        machine["InstanceType"]
        for reservation in found
        for machine in reservation["Instances"]
        if vcpu_quota(machine["InstanceType"], spot=machine.get("InstanceLifecycle") == "spot") == quota
        and _tag(machine, _STACK_TAG) != stack
    ]


def _foreign_vpcs(account: Account, stack: str) -> int:
    found = account.pages("ec2", "describe_vpcs", "Vpcs")
    return sum(_tag(vpc, _STACK_TAG) != stack for vpc in found)


def _balancers(account: Account) -> int:
    found = account.pages("elbv2", "describe_load_balancers", "LoadBalancers")
    return sum(balancer.get("Type") == "application" for balancer in found)


def _tag(resource: Any, key: str) -> str | None:
    return next((tag["Value"] for tag in resource.get("Tags") or () if tag["Key"] == key), None)


def _guarded(quota: Quota, check: Callable[[], Check]) -> Check:
    """If one quota cannot be read, the next may be."""
    try:
        return check()
    except Unchecked as error:
        return error.as_check(f"quota: {quota.name}")


def _increase(account: Account, quota: Quota, value: int) -> str:
    return (
        f"aws service-quotas request-service-quota-increase --service-code {quota.service} "
        f"--quota-code {quota.code} --desired-value {value} --region {account.region}"
    )
