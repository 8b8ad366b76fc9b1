"""Who acts, as STS reports it: an ARN. Two-person rules compare people and roles, not letters.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
"""

import re

TRAINERS = ("trained_by", "requested_by")
"""Who made a version, by its lineage: the machine's identity, and the person's who requested it."""

_ARN = re.compile(r"\barn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:[0-9]*:[^\s;,)]*[^\s;,):.]")
_ASSUMED = "assumed-role"
_NOT_IN_SESSION_NAMES = re.compile(r"[^\w+=,.@-]", re.ASCII)


def person(arn: str) -> str:
    """The name of the acting person: that of a user or of a role's session; `arn` itself if it is not an ARN."""
    return arn.rpartition(":")[2].rpartition("/")[2]


def without_arns(text: str) -> str:
    """The text with the name alone in place of each ARN: an account's id and roles are not public."""
    return _ARN.sub(lambda found: person(found[0]), text)


def session_name(arn: str) -> str:
    """What a role's session is called that `arn` takes: their own name, so that the audit trail names more than a role.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
    """
    return _NOT_IN_SESSION_NAMES.sub("-", person(arn))[:64] or "petpark"


def same_hands(one: str, other: str) -> bool:
    """Whether two identities must count as one: the same person, or two sessions of the same role.

    On the safe side: two people of one name, or who share a role, are not two people.
    """
    return person(one) == person(other) or _principal(one) == _principal(other)


def _principal(arn: str) -> str:
    """An assumed role without its session's name; other identities unchanged."""
    account, _, resource = arn.rpartition(":")
    kind, _, rest = resource.partition("/")
    return f"{account}:{kind}/{rest.rpartition('/')[0]}" if kind == _ASSUMED else arn
