"""Who may connect: everybody only to a load balancer, and only over HTTPS."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from infra.rules.resource import Resource, known_items, value
from infra.rules.rule import Context, Rule

_HTTPS = 443

# https://www.iana.org/assignments/ipv4-address-space: no holder has more than a /8.
# https://www.iana.org/assignments/ipv6-unicast-address-assignments: no registry has more than a /12.
_LARGEST_V4, _LARGEST_V6 = 8, 12


@dataclass(frozen=True, kw_only=True)
class _Ingress:
    """One way in."""

    protocol: str
    first: float
    last: float
    blocks: tuple[str, ...]

    @property
    def is_https(self) -> bool:
        return self.protocol in ("tcp", "6") and self.first == self.last == _HTTPS

    def open_blocks(self) -> list[str]:
        return [block for block in self.blocks if _is_everybody(block)]


def _is_everybody(block: str) -> bool:
    """Whether a block is larger than any one network: 0.0.0.0/0, and its halves, which mean the same."""
    try:
        network = ip_network(block, strict=False)
    except ValueError:
        return False
    match network:
        case IPv4Network():
            return network.prefixlen < _LARGEST_V4
        case IPv6Network():
            return network.prefixlen < _LARGEST_V6


def _ingress(resource: Resource) -> Iterator[_Ingress]:
    """Every way in that a resource declares. Raises `NotKnown`."""
    match resource.kind:
        case "vpc.SecurityGroupIngressRule":
            blocks = (resource.get("cidrIpv4"), resource.get("cidrIpv6"))
            yield _way(resource.properties, "ipProtocol", blocks)
        case "ec2.SecurityGroupRule":
            if resource.get("type") == "ingress":
                yield _way(resource.properties, "protocol", _listed(resource.properties))
        case "ec2.SecurityGroup" | "ec2.DefaultSecurityGroup":
            for entry in resource.items("ingress"):
                yield _way(entry, "protocol", _listed(entry))
        case _:
            return


def _listed(entry: Any) -> tuple[Any, ...]:
    names = ("cidrBlocks", "ipv6CidrBlocks")
    return tuple(block for name in names for block in known_items(value(entry, name), name))


def _way(entry: Any, protocol: str, blocks: tuple[Any, ...]) -> _Ingress:
    first, last = value(entry, "fromPort"), value(entry, "toPort")
    return _Ingress(
        protocol=str(value(entry, protocol)),
        first=-1 if first is None else float(first),
        last=-1 if last is None else float(last),
        blocks=tuple(str(block) for block in blocks if block),
    )


def _only_https(resource: Resource, _context: Context) -> Iterator[str]:
    for way in _ingress(resource):
        if not way.is_https:
            for block in way.open_blocks():
                ports = f"{way.protocol}, ports {way.first:.0f} to {way.last:.0f}"
                yield f"lets {block} in ({ports}); state who may connect, or use HTTPS on a load balancer"


def _only_load_balancers(resource: Resource, context: Context) -> Iterator[str]:
    """Judge the security group, by all of its rules."""
    stack = context.stack
    rules = [
        *stack.about(resource, "vpc.SecurityGroupIngressRule", "securityGroupId"),
        *stack.about(resource, "ec2.SecurityGroupRule", "securityGroupId"),
        resource,
    ]
    if not any(way.open_blocks() for rule in rules for way in _ingress(rule)):
        return
    if not any(stack.about(resource, f"{module}.LoadBalancer", "securityGroups") for module in ("lb", "alb")):
        yield "is open to everybody and belongs to no load balancer"
    kinds = ("ec2.Instance", "ec2.LaunchTemplate", "ec2.NetworkInterface")
    for one in (one for kind in kinds for one in stack.about(resource, kind, "vpcSecurityGroupIds", "securityGroups")):
        yield f"is open to everybody and belongs to {one.name}, which is no load balancer"


_SOURCE = "https://docs.aws.amazon.com/securityhub/latest/userguide/ec2-controls.html"

RULES = (
    Rule(
        name="ingress-from-everywhere",
        demands="Security groups let everybody in only on TCP port 443.",
        why="Internet scanners find an open port within minutes; API keys need HTTPS.",
        source=_SOURCE,
        kinds=frozenset(
            {
                "vpc.SecurityGroupIngressRule",
                "ec2.SecurityGroupRule",
                "ec2.SecurityGroup",
                "ec2.DefaultSecurityGroup",
            }
        ),
        each=_only_https,
    ),
    Rule(
        name="only-load-balancers-face-everybody",
        demands="A security group that lets everybody in belongs to a load balancer and to nothing else.",
        why="A load balancer ends TLS and drops malformed requests; an instance would be reached directly.",
        source=_SOURCE,
        kinds=frozenset({"ec2.SecurityGroup"}),
        each=_only_load_balancers,
        alone=False,
    ),
)
