"""What a review is bound to: the plan, the program and the state; and whether any of them has moved since."""

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
"""A commit of which files differ (`+`) and what is unknown can be reviewed, but nothing can be bound to it."""


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """What was reviewed: the digest of the plan, git's name of the program's files, and the version of the state."""

    digest: str
    tree: str
    state: str

    @classmethod
    def read(cls, given: str) -> Self:
        """What a person copied from a page, or the name of a plan's file. Raises ValueError, which says what to give.

        Raises `PreviewUnreadable` for a file that is no plan.
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
    except OSError:  # too long for a name, or in a folder that may not be looked into
        return False


def moved(plan: Plan, reviewed: Reviewed) -> tuple[str, ...]:
    """What is not as it was reviewed, as sentences."""
    sides = (
        ("plan", plan.digest, reviewed.digest),
        ("program's tree", plan.tree or "unknown", reviewed.tree),
        ("state", plan.state or "unknown", reviewed.state),
    )
    return tuple(f"the {what} is {now}, reviewed was {then}" for what, now, then in sides if now != then)


def require_same(plan: Plan, reviewed: Reviewed, **facts: object) -> None:
    """Raise `PlanMoved`, with `facts`, if the plan, the program or the state has moved since the review."""
    if found := moved(plan, reviewed):
        raise PlanMoved(
            f"Stack {plan.stack}: this is not what was reviewed: {'; '.join(found)}.",
            next_step=f"Review the new page: petpark preview --stack {plan.stack}",
            moved=list(found),
            **facts,
        )
