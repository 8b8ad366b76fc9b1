"""Removal of temporary stacks after their last day.

The last day is a tag of every resource, `petpark:expires`, because the settings are not available everywhere. The
reviewed settings count, too: the later of both days applies. A value that is not a date means that the stack stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from infra.configuration.settings_reader import EXPIRES
from petpark.account.cloud import Account, Unchecked
from petpark.account.leftovers import Leftover, gather
from petpark.delivery import engine_events
from petpark.delivery.engine_events import Done
from petpark.errors import NotEmpty
from petpark.preview import make
from petpark.targets import pulumi_cli

_PROJECT, _STACK = "petpark:project", "petpark:stack"
_SECONDS: Final = 3_600.0


@dataclass(frozen=True, kw_only=True)
class Term:
    """How long a stack may stay. `last`: the last day, or None for no end; `found`: the reason as a sentence."""

    last: date | None
    found: str

    def over(self, today: date) -> bool:
        """Returns whether the last day has passed."""
        return self.last is not None and today > self.last


def term(tagged: Iterable[str | None], settings: str | None) -> Term:
    """Returns how long a stack may stay, by the tags of its resources and by its reviewed settings. Pure.

    The latest day counts; an unreadable day counts as no end, so a stack stays if in doubt. Instances that a launch
    template starts have no such tag. `settings` is None if the checkout has no file for the stack.
    """
    values = [value for value in tagged if value is not None]
    if not values:
        return Term(last=None, found=f"nothing has the tag {EXPIRES}")
    days = [_day(value) for value in (*values, *([] if settings is None else [settings]))]
    if None in days:
        return Term(last=None, found="stays: a tag or its settings have no date")
    last = max(day for day in days if day is not None)
    return Term(last=last, found=f"stays until {last.isoformat()}")


def term_of(account: Account, stack: str, settings: str | None) -> Term:
    """Returns `term` for a stack in an account. Raises `Unchecked`."""
    wanted = [{"Key": _PROJECT, "Values": ["petpark"]}, {"Key": _STACK, "Values": [stack]}]
    found = account.pages("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=wanted)
    return term((_tags(entry).get(EXPIRES) for entry in found), settings)


def destroy(account: Account, stack: str, root: Path) -> tuple[Done, ...]:
    """Destroy a stack, check that nothing is left, and remove it from Pulumi's backend. Returns what was deleted.

    Raises `NotEmpty`, `PulumiMissing`, `PulumiFailed`, `StackNotDeployed`.
    """
    cli = make.program()
    if not (root / f"Pulumi.{stack}.yaml").exists():  # the settings of its last update
        pulumi_cli.run(cli, "config", "refresh", "--force", "--stack", stack, cwd=root, timeout=_SECONDS)
    done = engine_events.run("destroy", "--yes", stack=stack, root=root, seconds=_SECONDS)
    found, unchecked = gather(account)
    require_empty(stack, found, unchecked)
    pulumi_cli.run(cli, "stack", "rm", "--yes", "--preserve-config", "--stack", stack, cwd=root, timeout=_SECONDS)
    return done


def require_empty(stack: str, found: Iterable[Leftover], unchecked: Mapping[str, Unchecked]) -> None:
    """Raises `NotEmpty` if resources of the stack are left, or if that could not be checked."""
    left = [f"{each.kind} {each.name}" for each in found if each.stack == stack and not each.goes]
    left += [f"{kind} could not be checked: {each.reason}" for kind, each in unchecked.items()]
    if left:
        raise NotEmpty(
            f"Stack {stack} was destroyed, but something is left: {'; '.join(left)}.",
            next_step="petpark doctor --account --leftovers shows how to delete each.",
        )


def _day(value: str | None) -> date | None:
    try:
        return date.fromisoformat(value or "")
    except ValueError:
        return None


def _tags(entry: Mapping[str, Any]) -> Mapping[str, str]:
    return {tag["Key"]: tag["Value"] for tag in entry["Tags"]}
