"""The people of a rehearsal: users of the emulated account, each with their own access key and an operator role.

An AWS account already has users, and the signed-in one acts there. A rehearsal creates some, so that actions are
recorded under a name and rules about people can be shown.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from petpark.errors import OperatorError, RehearsalNotRunning

FILE = "people.json"
"""File in the rehearsal's folder with their keys, for the commands that act in it."""

PERSON_VARIABLE = "PETPARK_PERSON"
"""Environment variable: the person who acts in every role of a rehearsal. Without it each role has its own person."""


class PersonUnknown(OperatorError):
    """Nobody in the rehearsal has that name."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """A user of the emulated account; `role` is the operator role in which they act."""

    name: str
    role: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


def write_people(path: Path, people: Sequence[Person]) -> None:
    """Write `people` to a file that only this machine's user can read. Raises FileExistsError if it exists."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(json.dumps([asdict(person) for person in people], indent=2))


def read_people(path: Path) -> tuple[Person, ...]:
    """The people of the rehearsal that wrote `path`. Raises `RehearsalNotRunning` if it has ended."""
    try:
        return tuple(Person(**entry) for entry in json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise RehearsalNotRunning(
            f"The rehearsal in {path.parent} has ended: there is no {path.name}.",
            next_step="petpark rehearse --keep",
        ) from None
    except (ValueError, TypeError) as error:
        raise RehearsalNotRunning(
            f"{path} does not name the people of a rehearsal ({type(error).__name__}).",
            next_step="Start again: petpark rehearse down, then petpark rehearse --keep",
        ) from None


def people_by_role(people: Sequence[Person], *, only: str | None = None) -> dict[str, Person]:
    """Who acts in each role: its own person, or in all roles the one named `only`. Raises `PersonUnknown`."""
    if only is None:
        return {person.role: person for person in people}
    found = next((person for person in people if person.name == only), None)
    if found is None:
        there = ", ".join(f"{person.name} ({person.role})" for person in people)
        raise PersonUnknown(
            f"There is no person {only} in this rehearsal; there are {there or 'none'}.",
            next_step=f"Set {PERSON_VARIABLE} to one of these names, or unset it.",
        )
    return {person.role: found for person in people}


def person_of_environment() -> str | None:
    """The person named by the environment variable; None if each role has its own person."""
    return os.environ.get(PERSON_VARIABLE) or None
