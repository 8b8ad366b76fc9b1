"""Stacks that somebody made for a while, taken down when their time is over.

How long a stack may stay is a tag of everything in it, `petpark:expires`, so that it is known wherever its settings are
not. The reviewed settings count, too: the latest day of both, and what is no date means that the stack stays.
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
    """How long a stack may stay. `last`: the last day, None for ever; `found`: why, for people."""

    last: date | None
    found: str

    def over(self, today: date) -> bool:
        """Whether its time is over."""
        return self.last is not None and today > self.last


def term(tagged: Iterable[str | None], settings: str | None) -> Term:
    """How long a stack may stay, by the tags of its resources and by its reviewed settings. Pure.

    The longest of them counts, and what cannot be read counts as for ever: whatever is in doubt stays. Instances that
    a launch template starts have no such tag. `settings` is None where the checkout has no file of the stack.
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
    """The same, of a stack in an account. Raises `Unchecked`."""
    wanted = [{"Key": _PROJECT, "Values": ["petpark"]}, {"Key": _STACK, "Values": [stack]}]
    found = account.pages("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=wanted)
    return term((_tags(entry).get(EXPIRES) for entry in found), settings)


def destroy(account: Account, stack: str, root: Path) -> tuple[Done, ...]:
    """Destroy a stack, see that nothing of it is left, and remove it from Pulumi's backend; what was deleted.

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
    """Raise `NotEmpty` if something of the stack is left, or could not be looked for."""
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
