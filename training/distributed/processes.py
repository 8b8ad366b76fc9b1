"""Start the processes of one job on this instance, one per GPU, with torch's elastic launcher.

Their group may span several instances, each of which starts its own (`training.distributed.rendezvous`).

torchrun exits with 1 for any failure, but the worker needs the training's exit status: the leader writes it to a file,
and the parent process exits with it.
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
"""Time between SIGTERM and SIGKILL, for the last checkpoint. Spot interruptions come two minutes after their notice."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def is_launched_process() -> bool:
    """Returns whether this process was started by `launch`."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def process_count() -> int:
    """Returns the number of processes to start here: `PETPARK_PROCESSES`, or one per GPU, and at least one.

    Returns 1 in a process started by `launch`. Raises SpecMalformed for an invalid variable.
    """
    if is_launched_process():
        return 1
    gpus = torch.cuda.device_count()
    configured = os.environ.get(Variable.PROCESSES)
    if configured is None:
        return max(1, gpus)
    if not (configured.isascii() and configured.isdigit() and int(configured) >= 1):
        raise SpecMalformed(f"{Variable.PROCESSES} is {configured!r}; expected a number of processes, such as 2")
    if gpus and int(configured) > gpus:
        raise SpecMalformed(
            f"{Variable.PROCESSES} is {configured}, but this instance has only {gpus} GPUs, with one process each"
        )
    return int(configured)


def launch(
    job: str,
    count: int,
    command: Sequence[str] = (sys.executable, "-m", "training"),
    *,
    rendezvous: Rendezvous | None = None,
) -> int:
    """Run `command` in `count` connected processes. Returns the leader's exit status, or 1 if another one failed.

    SIGTERM is passed to all of them, with time to exit. If one fails, the others are terminated. For a leader killed by
    a signal, returns 128 plus the signal's number, as a shell does. With a `rendezvous`, each instance starts `count`
    processes, and those without the leader return 0 on success. Raises Interrupted if the instances cannot connect.
    """
    interface = "lo" if rendezvous is None else rendezvous.interface  # host names may not resolve on other instances
    for library in ("GLOO", "NCCL"):
        os.environ.setdefault(f"{library}_SOCKET_IFNAME", interface)
    with tempfile.TemporaryDirectory(prefix="petpark-processes-") as name, _restored_signals():
        status = Path(name) / "status"
        os.environ[_STATUS_FILE] = str(status)
        config = LaunchConfig(
            min_nodes=1 if rendezvous is None else rendezvous.size,
            max_nodes=1 if rendezvous is None else rendezvous.size,
            nproc_per_node=count,
            run_id=job,
            rdzv_backend="c10d" if rendezvous is None else "static",  # static: the first instance has the leader
            rdzv_endpoint="localhost:0" if rendezvous is None else f"{rendezvous.host}:{rendezvous.port}",
            rdzv_configs={} if rendezvous is None else {"rank": rendezvous.index, "timeout": int(TIMEOUT_SECONDS)},
            local_addr="127.0.0.1" if rendezvous is None else rendezvous.address,
            max_restarts=0,  # the state machine starts another attempt, on another instance
            shutdown_timeout=_GRACE_SECONDS,
            logs_specs=DefaultLogsSpecs(log_dir=name),
        )
        died: dict[int, int] = {}
        try:
            elastic_launch(config, command[0])(*command[1:])
        except ChildFailedError as error:
            died = {rank: failure.exitcode for rank, failure in error.failures.items()}
        except SignalException as error:
            died = {0: -int(error.sigval)}  # unless the leader wrote its status
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


def report_status(status: int) -> None:
    """Report the exit status to the parent process, if this is the leader of a group that `launch` started."""
    if (file := os.environ.get(_STATUS_FILE)) and os.environ.get("RANK") == "0":
        Path(file).write_text(str(status))


@contextmanager
def _restored_signals() -> Generator[None]:
    """Restore the signal handlers after the block, since torch does not."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
