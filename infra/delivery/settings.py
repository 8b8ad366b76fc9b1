"""Configuration of the project `petpark-delivery`, read once into one frozen record."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pulumi

from infra.configuration.settings_reader import NAME, NONE, Reader

# https://docs.github.com/en/actions/reference/security/oidc: the subject's names, with or without immutable ids.
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}(@[0-9]+)?/(?!\.+(@|$))[A-Za-z0-9._-]{1,100}(@[0-9]+)?")
# https://git-scm.com/docs/git-check-ref-format; nothing that a subject could be mistaken by.
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ROLE = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")
_MOST_USD = 1_000_000
_MOST_ROLES = 99  # an action stops 100, of which one deploys
_MOST_STACKS = 8


@dataclass(frozen=True, kw_only=True)
class DeliverySettings:
    """One account's configuration, whole and checked."""

    region: str
    repository: str
    """owner/name, as GitHub's tokens name it."""
    branch: str
    owner: str
    """The stack that owns the platform (`petpark:platform: own`)."""
    monthly_usd: Mapping[str, int]
    """Stacks of this account, each with its monthly budget in USD."""
    state_bucket: str | None
    """Of Pulumi's state; None if Pulumi Cloud keeps it."""
    alarm_email: str | None
    stopped_roles: tuple[str, ...]
    """Names of roles, in addition to those that deploy, that may start no instances once a budget is used up."""


def load() -> DeliverySettings:
    """Read the configuration of the stack that is being deployed. Raises `SettingsInvalid`."""
    config = pulumi.Config()
    return read(config.get, region=pulumi.Config("aws").get("region"), namespace=config.name)


def read(get: Callable[[str], str | None], *, region: str | None, namespace: str) -> DeliverySettings:
    """Check all values that `get` gives. Raises `SettingsInvalid` naming every wrong key, not only the first."""
    values = Reader(get, namespace)
    if not region:
        values.refuse("aws:region", region, "a region such as eu-west-1")
    settings = DeliverySettings(
        region=region or "",
        repository=values.text("repository", _REPOSITORY, "owner/name, or owner@id/name@id"),
        branch=values.text("branch", _BRANCH, "the name of a branch, such as main"),
        owner=values.name("owner"),
        monthly_usd=_budgets(values),
        state_bucket=_absent(values.text("state_bucket", _BUCKET, f"the name of a bucket, or {NONE!r}")),
        alarm_email=values.email("alarm_email"),
        stopped_roles=values.texts("stopped_roles", _ROLE, "a list of names of roles, or []"),
    )
    if settings.owner and settings.monthly_usd and settings.owner not in settings.monthly_usd:
        values.refuse("owner", settings.owner, f"a stack that monthly_usd names: {', '.join(settings.monthly_usd)}")
    if len(settings.stopped_roles) > _MOST_ROLES:
        values.refuse("stopped_roles", f"{len(settings.stopped_roles)} names", f"at most {_MOST_ROLES}")
    values.settle()
    return settings


def _budgets(values: Reader) -> Mapping[str, int]:
    """Read what each stack may cost: whole USD a month."""
    expected = f"a map from 1 to {_MOST_STACKS} stacks to whole USD a month, up to {_MOST_USD:,}"
    found = values.mapping("monthly_usd", expected) or {}
    fitting = {
        stack: usd
        for stack, usd in found.items()
        if NAME.fullmatch(stack) and type(usd) is int and 1 <= usd <= _MOST_USD
    }
    if len(fitting) < len(found) or not 1 <= len(found) <= _MOST_STACKS:
        values.refuse("monthly_usd", str(found), expected)
    return fitting


def _absent(value: str) -> str | None:
    return None if value == NONE else value
