"""Launching the instances of a job: tries one pool after another until one has capacity, and never launches twice.

Which pools, and which refusals lead to the next: `petpark.jobs.pools`. Why not EC2 Fleet: `docs/design/training.md`.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError

from petpark.errors import DENIED, NoCapacity, QuotaReached
from petpark.jobs.pools import SCOPES, Pool, Scope, pools, quota_name, worth_asking
from registry import layout
from registry.errors import ObjectExists, ObjectMissing

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import RunInstancesRequestTypeDef, TagTypeDef

    from petpark.targets.target import Target
    from registry.store.object_store import ObjectStore

type Tell = Callable[[str], object]
"""Called with a sentence about each step."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What EC2 answered about one pool: an instance (of several the first), or a refusal. Written once."""

    instance_type: str
    zone: str
    spot: bool
    instance: str | None = None
    code: str | None = None
    message: str | None = None

    def to_json(self) -> bytes:
        """Write JSON."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read what `to_json` wrote; training's `SpecMalformed` for anything else."""
        from training.errors import SpecMalformed

        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError) as error:
            raise SpecMalformed(f"not a response of EC2: {error}") from error

    def __str__(self) -> str:
        market = "spot" if self.spot else "on-demand"
        where = f"{self.instance_type} ({market}) in {self.zone}"
        return f"no {where}: {self.code}" if self.instance is None else f"{self.instance} is a {where}"


def launch(
    target: Target,
    job: str,
    *,
    token: str | None = None,
    on_demand: bool = False,
    tell: Tell = lambda _sentence: None,
) -> str:
    """Start the instances of `job` from the stack's launch template, all or none, in one zone.

    Tells what each pool answered, in a line each. Returns the id of the first, which leads; the others end with it.
    Launched with a `token`, instances bear that as a tag, and launching with the same one again gives the same
    instances. Raises `NoCapacity`, `QuotaReached`, or training's `JobMissing`.
    """
    from training.job import load_spec

    store = target.store(target.outputs.workspace, role=layout.Role.PUBLISHER)
    training = target.outputs.training
    launcher = _Launcher(
        target=target,
        store=store,
        job=job,
        count=load_spec(store, job).instances,
        spot=training.spot and not on_demand,
        token=token,
        launch=token or f"{job}-{secrets.token_hex(4)}",
    )
    every = pools(training.instance_types, training.subnets)
    left, refused = every, list[tuple[Pool, Attempt]]()
    while left:
        pool, *rest = left
        answer = launcher.ask(pool, every.index(pool) + 1)
        tell(str(answer))
        if answer.instance is not None:
            return answer.instance
        refused.append((pool, answer))
        left = worth_asking(rest, pool, SCOPES[answer.code or ""])
    raise _without_capacity(job, launcher.count, refused)


def attempts(store: ObjectStore, job: str) -> list[Attempt]:
    """What EC2 answered whenever instances were launched for `job`, in order within each launch."""
    return [Attempt.from_json(store.get(key)) for key in store.keys(layout.attempts_prefix(job))]


@dataclass(frozen=True, kw_only=True)
class _Launcher:
    """One launch. Anyone who repeats it with the same name comes to the same instances."""

    target: Target
    store: ObjectStore
    job: str
    count: int
    spot: bool
    token: str | None
    launch: str

    def ask(self, pool: Pool, number: int) -> Attempt:
        """Request instances from one pool, and record the answer: the first answer counts for everybody."""
        key = layout.attempt_key(self.job, self.launch, number, pool.instance_type, pool.zone)
        try:
            return self._kept(key)
        except ObjectMissing:
            pass
        answer, started = self._run(pool)
        try:
            self.store.create(key, answer.to_json())
        except ObjectExists:
            kept = self._kept(key)
            if kept.instance != answer.instance:
                self._end(started)
            return kept
        return answer

    def _kept(self, key: str) -> Attempt:
        return Attempt.from_json(self.store.get(key))

    def _run(self, pool: Pool) -> tuple[Attempt, list[str]]:
        ec2: EC2Client = self.target.client("ec2", role=layout.Role.PUBLISHER)
        where: dict[str, Any] = {"instance_type": pool.instance_type, "zone": pool.zone, "spot": self.spot}
        try:
            started = ec2.run_instances(**self._request(pool))["Instances"]
        except ClientError as error:
            details = error.response.get("Error", {})
            if details.get("Code") not in SCOPES:
                raise
            return Attempt(**where, code=details.get("Code"), message=details.get("Message", "")), []
        first = min(started, key=lambda machine: machine.get("AmiLaunchIndex", 0)).get("InstanceId", "")
        return Attempt(**where, instance=first), [machine.get("InstanceId", "") for machine in started]

    def _request(self, pool: Pool) -> RunInstancesRequestTypeDef:
        """Override the template's type, and set what the template leaves out: subnet and market.

        What a request says takes the place of the template's, so the template's tags are said again.
        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
        """
        training = self.target.outputs.training
        # A request that is sent again after a lost answer must not start a second instance. The same token with another
        # request is refused (IdempotentParameterMismatch), so each pool has one of its own.
        what = f"{pool.instance_type} {pool.subnet} {self.spot}"
        own = {layout.JOB_TAG: self.job, "Name": f"petpark-training-{self.job}"}
        own |= {layout.LAUNCH_TAG: self.token} if self.token else {}
        request: RunInstancesRequestTypeDef = {
            "LaunchTemplate": {"LaunchTemplateId": training.launch_template, "Version": "$Latest"},
            "InstanceType": pool.instance_type,  # pyright: ignore[reportAssignmentType] - EC2 knows its types
            "SubnetId": pool.subnet,
            "MinCount": self.count,
            "MaxCount": self.count,
            "ClientToken": f"{self.launch}-{hashlib.sha256(what.encode()).hexdigest()[:8]}",
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": _pairs({**training.tags, **own})},
                {"ResourceType": "volume", "Tags": _pairs(training.tags)},
            ],
        }
        if self.spot:
            request["InstanceMarketOptions"] = {
                "MarketType": "spot",
                "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
            }
        return request

    def _end(self, instances: list[str]) -> None:
        """End instances that another launcher's answer made redundant; if denied, they end when the job is done."""
        ec2: EC2Client = self.target.client("ec2", role=layout.Role.PUBLISHER)
        try:
            if instances:
                ec2.terminate_instances(InstanceIds=instances)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in DENIED:
                raise


def quota_step(quotas: Sequence[str]) -> str:
    """How to raise the quotas, as the beginning of a sentence."""
    names = " and ".join(f"'{name}'" for name in quotas)
    return f"Request an increase of {names} (Service Quotas console, Amazon EC2; often 0 in new accounts)"


def _pairs(tags: Mapping[str, str]) -> list[TagTypeDef]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _without_capacity(job: str, count: int, refused: list[tuple[Pool, Attempt]]) -> NoCapacity:
    """Returns the error that no pool had capacity, with the next step."""
    wanted = "instance" if count == 1 else f"{count} instances"
    reasons = "; ".join(f"{answer}, {answer.message}".rstrip(", ") for _, answer in refused)
    message = f"No {wanted} could be started for job {job}: {reasons}"
    spot = any(answer.spot for _, answer in refused)
    again = f"petpark train --resume {job}"
    limits = dict.fromkeys(
        quota_name(pool, spot=answer.spot) for pool, answer in refused if SCOPES[answer.code or ""] is Scope.QUOTA
    )
    if limits:
        dearer = f", or run on demand, which has a separate quota: {again} --on-demand" if spot else ""
        return QuotaReached(
            message, next_step=f"{quota_step(list(limits))}{dearer}. Then {again}", job=job, quotas=list(limits)
        )
    dearer = f", or run on demand now ({again} --on-demand)" if spot else ""
    return NoCapacity(
        message,
        next_step=f"Try again later ({again}){dearer}, or add types to training_instance_types.",
        job=job,
    )
