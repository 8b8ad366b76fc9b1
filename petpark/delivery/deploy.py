"""`pulumi up` of a plan that was reviewed, and of no other."""

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
"""Half of what a workflow's job and its credentials have; the other half is for what answers."""


def apply(stack: str, root: Path, table: PriceTable, *, reviewed: Reviewed) -> tuple[Done, ...]:
    """Make the plan again, and apply it if plan, program and state are as they were reviewed; what was done.

    The rules are applied to it as a policy pack. Pulumi holds the stack's lock only during the update itself: what
    changes in the seconds before is found by its own preview's policies, or by the next drift check.
    Raises `PlanMoved`, `PulumiMissing`, `PulumiFailed`, `PreviewUnreadable`.
    """
    plan = make.plan_by_pulumi(stack, root, table)
    commit, tree = make.checked_out(root)
    binding.require_same(replace(plan, commit=commit, tree=tree), reviewed)
    return engine_events.run("up", "--yes", "--policy-pack", POLICIES, stack=stack, root=root, seconds=_SECONDS)
