"""Where the instances of one job find each other: the first writes down where it listens, the others read it.

Who is first: in an attempt of the state machine `job`, the instance that creates the meeting (`claim`). Else EC2 says
who is who (`meet`): instances of one launch share a reservation and are numbered, and a later launch for the same job
has a reservation of its own, so that nobody waits at an address of the past.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
"""

import ipaddress
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from registry.encoding import Fields, canonical
from registry.errors import ObjectExists, ObjectMissing
from registry.layout import Variable, meeting_key
from registry.store.object_store import ObjectStore
from training.errors import Interrupted, SpecMalformed
from training.instance import metadata
from training.job import read_strictly

PATIENCE_SECONDS: Final = 900.0
"""For the slowest instance to boot and to install its environment after the fastest did."""

_POLL_SECONDS: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Rendezvous:
    """Instance `index` of `size`; all are reached at `address`, which is each one's own, and the first at `host`."""

    index: int
    size: int
    address: str
    host: str
    port: int

    def to_json(self) -> str:
        """For the environment of the processes that train."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The opposite; SpecMalformed."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise SpecMalformed(f"{Variable.MEETING} is {text!r}; the worker sets it: {error}") from error

    @property
    def interface(self) -> str:
        """The network interface that the instances talk over."""
        return "lo" if ipaddress.ip_address(self.address).is_loopback else _default_interface()


def meet(
    workspace: ObjectStore,
    job: str,
    size: int,
    *,
    endpoint: str | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Rendezvous:
    """Find out which of `size` instances this is, and where the first one listens.

    Raises SpecMalformed on a machine that is none of so many, Interrupted when the first does not come in time or this
    machine is taken away, and registry errors.
    """
    launch, index, address = _who(endpoint or metadata.default_endpoint(), size)
    key = meeting_key(job, launch)
    if index == 0:
        port = _free_port(address)
        try:
            workspace.create(key, canonical({"host": address, "port": port}))
        except ObjectExists as error:
            raise Interrupted("the instances of this launch have met before; start the job again") from error
        return Rendezvous(index=index, size=size, address=address, host=address, port=port)
    host, port = _wait_for_first(workspace, key, size, should_stop, pause, clock)
    return Rendezvous(index=index, size=size, address=address, host=host, port=port)


def claim(workspace: ObjectStore, job: str, attempt: str, size: int, *, endpoint: str | None = None) -> Rendezvous:
    """Take part in an attempt of `size` instances: as the first (index 0) if nobody was, else as another (index 1).

    A fleet's instances may have different reservations, so numbers of EC2 do not tell who is first. Raises
    SpecMalformed on a machine without metadata, and registry errors.
    """
    address = _own_address(endpoint or metadata.default_endpoint(), size)
    key, port = meeting_key(job, attempt), _free_port(address)
    place = canonical({"host": address, "port": port})
    try:
        workspace.create(key, place)
        return Rendezvous(index=0, size=size, address=address, host=address, port=port)
    except ObjectExists:
        host, port = read_strictly("meeting", workspace.get(key), _place)
        return Rendezvous(index=1, size=size, address=address, host=host, port=port)


def _wait_for_first(
    workspace: ObjectStore,
    key: str,
    size: int,
    should_stop: Callable[[], bool],
    pause: Callable[[float], None],
    clock: Callable[[], float],
) -> tuple[str, int]:
    deadline = clock() + PATIENCE_SECONDS
    while not should_stop():
        try:
            return read_strictly("meeting", workspace.get(key), _place)
        except ObjectMissing:
            if clock() >= deadline:
                raise Interrupted(
                    f"the first of {size} instances did not come within {PATIENCE_SECONDS:.0f} s"
                ) from None
        pause(_POLL_SECONDS)
    raise Interrupted("the machine was taken away before the instances had met")


def _who(endpoint: str, size: int) -> tuple[str, int, str]:
    """Returns the launch's name, this instance's number in it, and its address."""
    launch, index, own = _facts(endpoint, size, "reservation-id", "ami-launch-index", "local-ipv4")
    address = os.environ.get(Variable.HOST) or own
    if not launch or not address or not index or not index.isdecimal() or int(index) >= size:
        raise SpecMalformed(
            f"this is instance {index} of launch {launch} at {address}, and the job has {size} instances"
        )
    return launch, int(index), address


def _own_address(endpoint: str, size: int) -> str:
    """Returns the machine's address: of a rehearsed instance one of its own, and not the one that EC2 gave it."""
    (own,) = _facts(endpoint, size, "local-ipv4")
    if address := os.environ.get(Variable.HOST) or own:
        return address
    raise SpecMalformed(f"a job of {size} instances needs addresses, and this machine has none")


def _facts(endpoint: str, size: int, *names: str) -> list[str | None]:
    try:
        return [metadata.read(endpoint, name) for name in names]
    except (OSError, ValueError) as error:
        raise SpecMalformed(
            f"a job of {size} instances runs on EC2, and this machine has no metadata: {error}"
        ) from error


def _place(fields: Fields) -> tuple[str, int]:
    return fields.text("host"), fields.count("port")


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as server:
        return server.getsockname()[1]


def _default_interface() -> str:
    """Returns the interface of the default route. Linux."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        name, destination, *_ = line.split()
        if destination == "00000000":
            return name
    raise SpecMalformed("this machine has no default route, over which several instances could talk")
