"""Which version each endpoint serves, as the endpoint itself reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from petpark.targets.target import Target
from registry.identity import person
from registry.layout.roles import Role

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

    from registry.channels.channel import ChannelEntry

_TIMEOUT = httpx.Timeout(5.0, connect=2.0)
_ATTEMPTS = 2
_ASKED_OF_BALANCER = 8
"""Requests per instance to a load balancer, to reach each instance that cannot be reached directly."""
_UNAVAILABLE = f"answers {HTTPStatus.SERVICE_UNAVAILABLE.value}"


class Verdict(StrEnum):
    """The served version compared with the channel's version."""

    SERVES = "serves"
    DIFFERS = "differs"
    EMPTY = "empty"
    """The channel has no version yet, and none is served."""
    REVOKED = "revoked"
    """Serves the channel's version, which was revoked: the channel requires no certificate."""
    SILENT = "silent"
    UNSEEN = "unseen"
    """An instance that cannot be reached from here; its load balancer is queried instead."""

    @property
    def alarming(self) -> bool:
        """Whether someone must act."""
        return self in {Verdict.DIFFERS, Verdict.REVOKED, Verdict.SILENT}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One address's response to `GET /v1/model`; without a response, `version` and the other fields are None."""

    stack: str
    where: str
    url: str
    channel: str
    wanted: int | None
    wanted_digest: str | None
    version: int | None
    digest: str | None
    entry: int | None
    verdict: Verdict
    reason: str


def status(target: Target) -> list[Answer]:
    """Query the stack's endpoint and, behind a load balancer, each instance. Returns the endpoint's status first."""
    from registry.channels.channel import Channel

    outputs = target.outputs
    channel = outputs.endpoint.channel
    store = target.store(outputs.model_store, role=Role.READER)
    head = Channel(store, outputs.model, channel, memory=target.chains()).head()
    wanted = None if head is None else head.version
    wanted_digest = None if head is None else head.digest
    revoked = "" if head is None else _revoked(target, head)

    def ask(place: _Location) -> Answer:
        served, problem = _ask(place.url, trust_env=target.aws_url is None)
        version, digest = served.get("version"), served.get("digest")
        verdict = _judge(place, served, wanted=wanted, wanted_digest=wanted_digest, problem=problem)
        followed = served.get("channel", channel)
        if followed != channel:
            verdict, problem = Verdict.DIFFERS, f"follows channel {followed}; `up` declared {channel}"
        if verdict is Verdict.SERVES and revoked:
            verdict, problem = Verdict.REVOKED, f'{revoked}; petpark rollback --channel {channel} --why "…"'
        if verdict is Verdict.SILENT and place.leads_to:
            problem += f"; {httpx.URL(place.url).host} needs a CNAME to {place.leads_to}"
        return Answer(
            stack=outputs.stack,
            where=place.name,
            url=place.url,
            channel=channel,
            wanted=wanted,
            wanted_digest=wanted_digest,
            version=None if version is None else int(version),
            digest=digest,
            entry=served.get("entry"),
            verdict=verdict,
            reason=problem or _refusal(served.get("refused")),
        )

    places = list(_places(target))
    with ThreadPoolExecutor(max_workers=min(16, len(places))) as pool:
        return list(pool.map(ask, places))


def _revoked(target: Target, head: ChannelEntry) -> str:
    """Who revoked the channel's version and when; empty if it is not revoked."""
    from registry.certificates.certificate import Certificates
    from registry.versions.catalog import Catalog

    store = target.store(target.outputs.model_store, role=Role.READER)
    version = Catalog(store, target.outputs.model).version(head.version, digest=head.digest)
    latest = Certificates(store, version.model).look(version, target.verifier(role=Role.READER)).latest
    if latest is None or latest.decision != "revoked":
        return ""
    return f"revoked by {person(latest.by)} on {latest.at[:10]}: {latest.note}"


def ask_everyone(target: Target) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the status of each process of the stack's endpoint, and the names of those that do not respond.

    Instances that cannot be reached from here are queried through their load balancer, until all registered ones have
    responded, or at most a few times as often.
    """
    places = list(_places(target))
    trust_env = target.aws_url is None
    with ThreadPoolExecutor(max_workers=min(16, len(places))) as pool:
        told = list(pool.map(lambda place: _ask(place.url, trust_env=trust_env), places))
    seen = {str(served["instance"]): served for served, problem in told if not problem and "instance" in served}
    behind = [place for place in places if place.behind]
    for _ in range(_ASKED_OF_BALANCER * len(behind)):
        if len(seen) >= len(behind):
            break
        served, problem = _ask(places[0].url, trust_env=trust_env)
        if not problem and "instance" in served:
            seen[str(served["instance"])] = served
    expected = behind or places
    silent = [place.name for place, (_, problem) in zip(places, told, strict=True) if problem and place in expected]
    return list(seen.values()), silent[: max(0, len(expected) - len(seen))]


def instances(target: Target) -> list[tuple[str, str]]:
    """Returns id and address of every instance of the stack's endpoint, sorted."""
    endpoint = target.outputs.endpoint
    if endpoint.target_group is None:
        return [(endpoint.instance_id or "", target.endpoint_urls.get(target.outputs.stack, endpoint.url))]
    found = _instances(target, endpoint.target_group)
    return [(instance, target.instance_url(instance, address, port)) for instance, address, port in found]


@dataclass(frozen=True, kw_only=True)
class _Location:
    name: str
    url: str
    behind: bool
    leads_to: str = ""
    """The required target of the address's host name, if it is the operator's own domain."""


def _places(target: Target) -> Iterator[_Location]:
    endpoint = target.outputs.endpoint
    kind = "load balancer" if endpoint.kind == "autoscaled" else "instance"
    url = target.endpoint_urls.get(target.outputs.stack, endpoint.url)
    leads_to = endpoint.load_balancer_name or "" if url.startswith("https://") else ""
    yield _Location(name=kind, url=url, behind=False, leads_to=leads_to)
    if endpoint.target_group is not None:
        for instance, address, port in _instances(target, endpoint.target_group):
            yield _Location(name=instance, url=target.instance_url(instance, address, port), behind=True)


def _instances(target: Target, target_group: str) -> list[tuple[str, str, int]]:
    """Id, private address and port of every target of the load balancer."""
    balancer: ElasticLoadBalancingv2Client = target.client("elbv2")
    health = balancer.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]
    ports = {found["Id"]: found.get("Port", 0) for entry in health if (found := entry.get("Target"))}
    if not ports:
        return []
    ec2: EC2Client = target.client("ec2")
    pages = ec2.get_paginator("describe_instances").paginate(InstanceIds=list(ports))
    machines = [
        machine
        for page in pages
        for reservation in page["Reservations"]
        for machine in reservation.get("Instances", [])
    ]
    found = {machine.get("InstanceId", ""): machine.get("PrivateIpAddress", "") for machine in machines}
    return sorted((instance, address, ports.get(instance, 0)) for instance, address in found.items())


def _ask(url: str, *, trust_env: bool) -> tuple[dict[str, Any], str]:
    """The response of `url`, or why there is none."""
    transport = None if trust_env else httpx.HTTPTransport(retries=_ATTEMPTS)
    try:
        with httpx.Client(timeout=_TIMEOUT, trust_env=trust_env, transport=transport) as client:
            answer = client.get(f"{url.rstrip('/')}/v1/model")
            answer.raise_for_status()
            return dict(answer.json()), ""
    except httpx.HTTPStatusError as error:
        return {}, f"answers {error.response.status_code}"
    except httpx.HTTPError as error:
        return {}, str(error) or type(error).__name__
    except (ValueError, TypeError):
        return {}, "does not respond with JSON: is this a petpark endpoint?"


def _judge(
    place: _Location, served: dict[str, Any], *, wanted: int | None, wanted_digest: str | None, problem: str
) -> Verdict:
    if problem == _UNAVAILABLE and wanted is None:
        return Verdict.EMPTY  # a load balancer's response while no instance has a version to serve
    if problem:
        return Verdict.UNSEEN if place.behind else Verdict.SILENT
    version, digest = served.get("version"), served.get("digest")
    if wanted is None:
        return Verdict.EMPTY if version is None else Verdict.DIFFERS
    same = version is not None and int(version) == wanted and digest == wanted_digest
    return Verdict.SERVES if same else Verdict.DIFFERS


def _refusal(refused: Any) -> str:
    if not refused:
        return ""
    if isinstance(refused, dict):
        return "refused: " + str(refused.get("detail") or refused.get("message") or refused.get("reason") or refused)
    return f"refused: {refused}"


def alarming(answers: Sequence[Answer]) -> bool:
    """Returns whether any of them requires action."""
    return any(answer.verdict.alarming for answer in answers)
