"""The target that a rehearsal provides: clients of its emulator, as its users, and its instances on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from petpark.errors import RehearsalNotRunning, StackNotDeployed
from petpark.targets.stacks import StackOutputs, parse
from petpark.targets.target import Target
from registry.layout.roles import Role
from rehearsal.credentials import FILE, Person, people_by_role, person_of_environment, read_people

if TYPE_CHECKING:
    import boto3

DRAWN_RECIPE: Final = "two-cores"
"""For the photos that a rehearsal draws, on this machine's cores."""

SUMMARY = Path(".rehearsal") / "summary.json"
"""A rehearsal's record of its stacks and services."""


def open_rehearsal(stack: str, summary: Path = SUMMARY) -> Target:
    """The rehearsal that `summary` describes, as its people, or as the one whom `PETPARK_PERSON` names.

    Raises `RehearsalNotRunning`, `StackNotDeployed` or `PersonUnknown`.
    """
    facts = _read_summary(summary)
    deployed: Mapping[str, Any] = facts["stacks"]
    if stack not in deployed:
        raise StackNotDeployed(
            f"The rehearsal has no stack {stack}; it has {', '.join(deployed) or 'none'}.",
            next_step="petpark rehearse --keep",
        )
    return rehearsal_target(
        parse(stack, deployed[stack]),
        facts["endpoints"],
        facts["emulator"]["url"],
        tuple(deployed),
        people=read_people(summary.parent / FILE),
        only=person_of_environment(),
        locate=lambda instance: _recorded_address(summary.parent, instance),
        recipe=str(facts.get("recipe") or DRAWN_RECIPE),
    )


def rehearsal_target(
    outputs: StackOutputs,
    endpoints: Mapping[str, str],
    url: str,
    stacks: tuple[str, ...],
    *,
    people: Sequence[Person] = (),
    only: str | None = None,
    locate: Callable[[str], str | None] = lambda _instance: None,
    recipe: str = DRAWN_RECIPE,
) -> Target:
    """A target in the emulator at `url`; what the rehearsal itself uses before its summary is written.

    In each role acts one of the `people`, or in every role the person named `only` (`PersonUnknown`). What needs no
    role is done by the publisher's user. Without users the account's administrator does everything.
    """
    import boto3

    def signed_in(key: str, secret: str) -> boto3.Session:
        return boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=outputs.region)

    acting = people_by_role(people, only=only)
    sessions = {person: signed_in(person.access_key_id, person.secret_access_key) for person in set(acting.values())}
    publisher = acting.get(Role.PUBLISHER)
    return Target(
        kind="rehearsal",
        stacks=stacks,
        outputs=outputs,
        endpoint_urls=endpoints,
        session=signed_in("test", "test") if publisher is None else sessions[publisher],
        role_sessions={role: sessions[person] for role, person in acting.items()},
        aws_url=url,
        address_of=lambda instance, private: locate(instance) or "127." + private.partition(".")[2],
        recipe=recipe,
    )


def _recorded_address(directory: Path, instance_id: str) -> str | None:
    """The address of an instance, as recorded by the rehearsal in `directory`."""
    record = directory / "instances" / instance_id / "address"
    return record.read_text().strip() if record.is_file() else None


def _read_summary(path: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads(path.read_bytes())
        _ = facts["stacks"], facts["endpoints"], facts["emulator"]["url"]
    except FileNotFoundError:
        raise RehearsalNotRunning(
            f"No rehearsal is running here: {path} does not exist.", next_step="petpark rehearse --keep"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise RehearsalNotRunning(
            f"{path} does not describe a rehearsal ({error!r}); it may be still on its way, or broken.",
            next_step="Wait for it, or start again: petpark rehearse down, then petpark rehearse --keep",
        ) from None
    return facts
