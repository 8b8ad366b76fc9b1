"""The people of a rehearsal: users of the emulated account, each with a key of their own and a role to play.

An AWS account has users already, and the signed-in one acts there. A rehearsal makes some, so that what is done
carries a name, and a rule about names can be seen to hold.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from petpark.errors import OperatorError, RehearsalNotRunning

FILE = "people.json"
"""Where a rehearsal keeps their keys, in its own folder, for the commands that act in it."""

ALONE = "PETPARK_PERSON"
"""Environment variable: the one person who plays every role of a rehearsal. Without it each role has its own."""


class PersonUnknown(OperatorError):
    """Nobody in the rehearsal has that name."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """A user of the emulated account; `role` is the operator role that is theirs to play."""

    name: str
    role: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


def write_people(path: Path, people: Sequence[Person]) -> None:
    """Keep `people` where only this machine's user reads them; raises FileExistsError, for it is done once."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(json.dumps([asdict(person) for person in people], indent=2))


def read_people(path: Path) -> tuple[Person, ...]:
    """The people of the rehearsal that wrote `path`; raises `RehearsalNotRunning`, for they end with it."""
    try:
        return tuple(Person(**entry) for entry in json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise RehearsalNotRunning(
            f"The rehearsal in {path.parent} has ended: {path.name} is gone, and its people with it.",
            next_step="petpark rehearse --keep",
        ) from None
    except (ValueError, TypeError) as error:
        raise RehearsalNotRunning(
            f"{path} does not name the people of a rehearsal ({type(error).__name__}).",
            next_step="Start afresh: petpark rehearse down, then petpark rehearse --keep",
        ) from None


def players(people: Sequence[Person], *, alone: str | None = None) -> dict[str, Person]:
    """Who plays each role: its own person, or all of them the one named `alone`; raises `PersonUnknown`."""
    if alone is None:
        return {person.role: person for person in people}
    found = next((person for person in people if person.name == alone), None)
    if found is None:
        there = ", ".join(f"{person.name} ({person.role})" for person in people)
        raise PersonUnknown(
            f"There is no {alone} in this rehearsal; there are {there or 'no people at all'}.",
            next_step=f"Set {ALONE} to one of these names, or unset it.",
        )
    return {person.role: found for person in people}


def chosen() -> str | None:
    """The person named in this process's environment; None where each role is played by its own."""
    return os.environ.get(ALONE) or None
