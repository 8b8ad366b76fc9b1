"""Several processes of one job on this machine, a GPU each, started and watched as torchrun does it.

Their group may span several instances, each of which runs this for its own (`training.distributed.rendezvous`).

torchrun itself ends with 1 whatever its processes ended with. What waits for a training has to know more, so the
leader notes its status in a file before it ends, and the one that started it ends with that.
https://docs.pytorch.org/docs/stable/elastic/run.html
"""

import os
import signal
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from registry.layout.variables import Variable
from training.distributed.rendezvous import TIMEOUT_SECONDS, Rendezvous
from training.errors import Interrupted, SpecMalformed

_STATUS_FILE: Final = "PETPARK_STATUS_FILE"
_FAILED: Final = 1
_GRACE_SECONDS: Final = 90
"""For the last checkpoint, between SIGTERM and SIGKILL. A spot instance is taken two minutes after its notice."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def is_launched_process() -> bool:
    """Returns whether this process was started by `launch`."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def wanted() -> int:
    """Returns how many processes a job must have here: `PETPARK_PROCESSES`, or one for each GPU; SpecMalformed.

    1 in a process that is one of several already.
    """
    if is_launched_process():
        return 1
    gpus = torch.cuda.device_count()
    configured = os.environ.get(Variable.PROCESSES)
    if configured is None:
        return max(1, gpus)
    if not (configured.isascii() and configured.isdigit() and int(configured) >= 1):
        raise SpecMalformed(
            f"{Variable.PROCESSES} is {configured!r}; expected how many processes train together, such as 2"
        )
    if gpus and int(configured) > gpus:
        raise SpecMalformed(
            f"{Variable.PROCESSES} is {configured}, but this machine has {gpus} GPUs, and each has one process"
        )
    return int(configured)


def launch(
    job: str,
    count: int,
    command: Sequence[str] = (sys.executable, "-m", "training"),
    *,
    meeting: Rendezvous | None = None,
) -> int:
    """Run `command` in `count` connected processes; returns the leader's status, or 1 if another one failed.

    SIGTERM continues to all of them, and they have a while to end. If one fails the others are ended. A leader that was
    killed returns 128 plus the signal's number, as in a shell. With a `meeting` each of its instances starts `count`,
    and one where no leader is gives 0 when its processes ended well. Raises Interrupted when the instances do not find
    each other.
    """
    interface = "lo" if meeting is None else meeting.interface  # a machine's name may not resolve on the others
    for library in ("GLOO", "NCCL"):
        os.environ.setdefault(f"{library}_SOCKET_IFNAME", interface)
    with tempfile.TemporaryDirectory(prefix="petpark-processes-") as name, _signals_kept():
        status = Path(name) / "status"
        os.environ[_STATUS_FILE] = str(status)
        config = LaunchConfig(
            min_nodes=1 if meeting is None else meeting.size,
            max_nodes=1 if meeting is None else meeting.size,
            nproc_per_node=count,
            run_id=job,
            rdzv_backend="c10d" if meeting is None else "static",  # static: the first instance has the leader
            rdzv_endpoint="localhost:0" if meeting is None else f"{meeting.host}:{meeting.port}",
            rdzv_configs={} if meeting is None else {"rank": meeting.index, "timeout": int(TIMEOUT_SECONDS)},
            local_addr="127.0.0.1" if meeting is None else meeting.address,
            max_restarts=0,  # the operator starts the job again, on a healthy machine
            shutdown_timeout=_GRACE_SECONDS,
            logs_specs=DefaultLogsSpecs(log_dir=name),
        )
        died: dict[int, int] = {}
        try:
            elastic_launch(config, command[0])(*command[1:])
        except ChildFailedError as error:
            died = {rank: failure.exitcode for rank, failure in error.failures.items()}
        except SignalException as error:
            died = {0: -int(error.sigval)}  # if the leader left no status
        except (RendezvousError, torch.distributed.DistError) as error:
            raise Interrupted(f"the instances could not connect to each other: {error}") from error
        finally:
            del os.environ[_STATUS_FILE]
        if any(code == _FAILED for code in died.values()):
            return _FAILED
        if status.exists():
            return int(status.read_text())
        code = died.get(0, -signal.SIGTERM if died else 0)
        return 128 - code if code < 0 else code


def note(status: int) -> None:
    """Report to the parent process how the job ended, if this is the leader of several."""
    if (file := os.environ.get(_STATUS_FILE)) and os.environ.get("RANK") == "0":
        Path(file).write_text(str(status))


@contextmanager
def _signals_kept() -> Generator[None]:
    """Keep torch's handlers for as long as its processes run; it does not put back those that were there."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
