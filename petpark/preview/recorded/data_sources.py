"""Results of the program's data sources from AWS, with the SDK's names, for a record. A reviewed table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from petpark.errors import RecordIncomplete

type ClientOf = Callable[[str], Any]
"""Name of a service -> its boto3 client, in the stack's region."""


def answer(client: ClientOf, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the result of data source `token`. Raises `RecordIncomplete` if it is not listed, and boto3's errors."""
    if (ask := _TABLE.get(token)) is None:
        raise RecordIncomplete(
            f"The program calls {token}, which petpark cannot record.",
            next_step="Add it to the table in petpark/preview/recorded/data_sources.py.",
        )
    return ask(client, arguments)


def _identity(client: ClientOf, _: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
    account = str(client("sts").get_caller_identity()["Account"])
    # The exporting user is private, and differs between runs.
    return {"accountId": account, "id": account}


def _partition(client: ClientOf, _: Mapping[str, Any]) -> dict[str, Any]:
    meta = client("sts").meta
    return {"partition": meta.partition, "id": meta.partition}


def _parameter(client: ClientOf, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html"""
    name = str(arguments["name"])
    found = client("ssm").get_parameter(Name=name)["Parameter"]
    if found["Type"] == "SecureString":
        raise RecordIncomplete(
            f"The parameter {name} is a secret, which a record does not contain.",
            next_step="Let the program read it as a setting instead.",
        )
    value = str(found["Value"])
    facts = {"name": name, "type": str(found["Type"]), "insecureValue": value, "version": int(found["Version"])}
    return {**facts, "arn": str(found["ARN"]), "id": name}


def _zone(client: ClientOf, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListHostedZonesByName.html"""
    name, private = str(arguments["name"]).rstrip(".") + ".", bool(arguments.get("privateZone"))
    listed = client("route53").list_hosted_zones_by_name(DNSName=name)["HostedZones"]
    found = [each for each in listed if each["Name"] == name and each["Config"]["PrivateZone"] == private]
    if len(found) != 1:
        raise RecordIncomplete(
            f"{len(found)} hosted zones are called {name}; the program needs one.",
            next_step="Create it in Route 53, or set petpark:dns_zone to another.",
        )
    zone = str(found[0]["Id"]).rpartition("/")[2]
    return {"name": name.rstrip("."), "zoneId": zone, "id": zone, "privateZone": private}


_TABLE: Final[Mapping[str, Callable[[ClientOf, Mapping[str, Any]], dict[str, Any]]]] = MappingProxyType(
    {
        "aws:index/getCallerIdentity:getCallerIdentity": _identity,
        "aws:index/getPartition:getPartition": _partition,
        "aws:ssm/getParameter:getParameter": _parameter,
        "aws:route53/getZone:getZone": _zone,
    }
)
TOKENS: Final = frozenset(_TABLE)
"""The data sources that can be recorded; equal to those of the embedded engine (`type_table.DATA_SOURCES`)."""
