"""Parse a missing permission of a state machine's role from the cause of a failed execution. Pure."""

import re
from dataclasses import dataclass
from typing import Final

_DENIED: Final = re.compile(
    r"assumed-role/(?P<role>[\w+=,.@-]+)/\S+ is not authorized to perform: (?P<action>[a-z0-9-]+:[A-Za-z]+)"
    r"(?: on resource: \"?(?P<resource>[^\s\"]+))?"
)
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""


@dataclass(frozen=True, kw_only=True)
class Denial:
    """The role, the denied action and its resource."""

    role: str
    action: str
    resource: str

    def __str__(self) -> str:
        on = f" on {self.resource}" if self.resource else ""
        return (
            f"role {self.role} may not {self.action}{on}; pulumi up restores the role's deployed permissions; a denial "
            "by an organization must be removed there"
        )


def denial(cause: str) -> Denial | None:
    """Return the denial in `cause`; None if there is none."""
    found = _DENIED.search(cause)
    if found is None:
        return None
    return Denial(role=found["role"], action=found["action"], resource=found["resource"] or "")
