"""Where the instances of one job find each other: the first writes down where it listens, the others read it.

EC2 says who is who. Instances of one launch share a reservation and are numbered, and a later launch for the same job
has a reservation of its own, so that nobody waits at an address of the past.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
"""

import ipaddress
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
    deadline = clock() + PATIENCE_SECONDS
    while not should_stop():
        try:
            host, port = read_strictly("meeting", workspace.get(key), _place)
            return Rendezvous(index=index, size=size, address=address, host=host, port=port)
        except ObjectMissing:
            if clock() >= deadline:
                raise Interrupted(
                    f"the first of {size} instances did not come within {PATIENCE_SECONDS:.0f} s"
                ) from None
        pause(_POLL_SECONDS)
    raise Interrupted("the machine was taken away before the instances had met")


def _who(endpoint: str, size: int) -> tuple[str, int, str]:
    """Returns the launch's name, this instance's number in it, and its address."""
    try:
        launch, index, own = (
            metadata.read(endpoint, name) for name in ("reservation-id", "ami-launch-index", "local-ipv4")
        )
    except (OSError, ValueError) as error:
        raise SpecMalformed(
            f"a job of {size} instances runs on EC2, and this machine has no metadata: {error}"
        ) from error
    # A rehearsed instance is reached at an address of its own on this machine, and not at the one that EC2 gave it.
    address = os.environ.get(Variable.HOST) or own
    if not launch or not address or not index or not index.isdecimal() or int(index) >= size:
        raise SpecMalformed(
            f"this is instance {index} of launch {launch} at {address}, and the job has {size} instances"
        )
    return launch, int(index), address


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
