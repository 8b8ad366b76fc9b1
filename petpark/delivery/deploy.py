"""`pulumi up` of a reviewed plan only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from petpark.delivery import engine_events
from petpark.delivery.engine_events import Done
from petpark.preview import binding, make
from petpark.preview.binding import Reviewed

if TYPE_CHECKING:
    from infra.configuration.prices import PriceTable

POLICIES: Final = "infra/crossguard"
_SECONDS: Final = 3_600.0
"""Half of a workflow job's time limit (and its credentials' lifetime); the other half is for the read-back."""


def apply(stack: str, root: Path, table: PriceTable, *, reviewed: Reviewed) -> tuple[Done, ...]:
    """Make the plan again, and apply it if plan, program and state are the reviewed ones. Returns what was done.

    The rules are applied to it as a policy pack. Pulumi holds the stack's lock only during the update itself: a
    change in the seconds before is found by the policies of its own preview, or by the next drift check.
    Raises `PlanMoved`, `PulumiMissing`, `PulumiFailed`, `PreviewUnreadable`.
    """
    plan = make.plan_by_pulumi(stack, root, table)
    commit, tree = make.checked_out(root)
    binding.require_same(replace(plan, commit=commit, tree=tree), reviewed)
    return engine_events.run("up", "--yes", "--policy-pack", POLICIES, stack=stack, root=root, seconds=_SECONDS)
