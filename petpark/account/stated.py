"""Settings that AWS accepts but that are probably wrong."""

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING

from petpark.doctor import Check, Health

if TYPE_CHECKING:
    from infra.configuration.settings import StackSettings

# https://www.rfc-editor.org/rfc/rfc5737
_DOCUMENTATION = tuple(map(ipaddress.IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))


def check(stack: str, settings: "StackSettings") -> Iterator[Check]:
    """The settings that only the operator can choose."""
    yield _clients(stack, settings)
    yield _alarms(stack, settings)


def _clients(stack: str, settings: "StackSettings") -> Check:
    block = ipaddress.IPv4Network(settings.endpoint.clients)
    choose = f"pulumi config set petpark:clients YOUR.ADDRESS.BLOCK/24 --stack {stack}"
    if any(block.subnet_of(example) for example in _DOCUMENTATION):
        found = f"{block} is reserved for documentation: no client can connect to the endpoint"
        return Check(name="clients", health=Health.ABSENT, found=found, fix=choose)
    if not block.prefixlen and settings.endpoint.api_keys == "open":
        found = f"{block} with api_keys: open: anybody may use the endpoint"
        return Check(name="clients", health=Health.ABSENT, found=found, fix=choose)
    return Check(name="clients", health=Health.FINE, found=str(block))


def _alarms(stack: str, settings: "StackSettings") -> Check:
    if settings.alarm_email:
        return Check(name="alarm e-mail", health=Health.FINE, found=settings.alarm_email)
    fix = f"pulumi config set petpark:alarm_email YOU@EXAMPLE.ORG --stack {stack}"
    return Check(name="alarm e-mail", health=Health.ABSENT, found="none: alarms have no recipient", fix=fix)
