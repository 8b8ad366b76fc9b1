"""What a review is bound to: plan, program and state; and whether any of them has changed since."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from petpark.errors import PlanMoved
from petpark.preview.plan import Plan
from petpark.preview.saved import load

_TEXT: Final = re.compile(
    r"(?P<digest>[0-9a-f]{64}):(?P<tree>[0-9a-f]{40}(?:[0-9a-f]{24})?):(?P<state>(?!unknown$)[A-Za-z0-9.-]{1,64})",
    re.IGNORECASE,
)
"""A commit with changed files (`+`) or an unknown one can be reviewed, but a review cannot be bound to it."""


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """What was reviewed: the plan's digest, git's tree of the program's files, and the state's version."""

    digest: str
    tree: str
    state: str

    @classmethod
    def read(cls, given: str) -> Self:
        """Returns it from text copied from a page, or from a plan's file.

        Raises ValueError for other text, `PreviewUnreadable` for a file that is not a plan.
        """
        text = given.strip()
        found = _TEXT.fullmatch(text)
        if found is None and _is_file(text):
            plan = load(Path(text))
            found = _TEXT.fullmatch(plan.binding) if plan.binds else None
        if found is None:
            raise ValueError(
                f"{text[:200]!r} is neither PLAN:PROGRAM:STATE, as at the end of a page, nor a file that --save wrote "
                "in a clean checkout (and not from a record)"
            )
        return cls(digest=found["digest"].lower(), tree=found["tree"].lower(), state=found["state"])


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # too long for a file name, or in a folder without read permission
        return False


def moved(plan: Plan, reviewed: Reviewed) -> tuple[str, ...]:
    """Returns what has changed since the review, as clauses of a sentence."""
    sides = (
        ("plan", plan.digest, reviewed.digest),
        ("program's tree", plan.tree or "unknown", reviewed.tree),
        ("state", plan.state or "unknown", reviewed.state),
    )
    return tuple(f"the {what} is {now}, reviewed was {then}" for what, now, then in sides if now != then)


def require_same(plan: Plan, reviewed: Reviewed, **facts: object) -> None:
    """Raises `PlanMoved`, with `facts`, if plan, program or state changed since the review."""
    if found := moved(plan, reviewed):
        raise PlanMoved(
            f"Stack {plan.stack}: this is not what was reviewed: {'; '.join(found)}.",
            next_step=f"Review the new page: petpark preview --stack {plan.stack}",
            moved=list(found),
            **facts,
        )
