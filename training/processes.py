"""Several processes of one job on this machine, a GPU each, started and watched as torchrun does it.

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
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from registry.layout import Variable
from training.errors import SpecMalformed

_STATUS_FILE: Final = "PETPARK_STATUS_FILE"
_FAILED: Final = 1
_GRACE_SECONDS: Final = 90
"""For the last checkpoint, between SIGTERM and SIGKILL. A spot instance is taken two minutes after its notice."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def wanted() -> int:
    """Give how many processes a job shall have here: `PETPARK_PROCESSES`, or one for each GPU; SpecMalformed.

    1 in a process that is one of several already.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return 1
    gpus = torch.cuda.device_count()
    asked = os.environ.get(Variable.PROCESSES)
    if asked is None:
        return max(1, gpus)
    if not (asked.isascii() and asked.isdigit() and int(asked) >= 1):
        raise SpecMalformed(f"{Variable.PROCESSES} is {asked!r}; expected how many processes train together, such as 2")
    if gpus and int(asked) > gpus:
        raise SpecMalformed(
            f"{Variable.PROCESSES} is {asked}, but this machine has {gpus} GPUs, and each has one process"
        )
    return int(asked)


def launch(job: str, count: int, command: Sequence[str] = (sys.executable, "-m", "training")) -> int:
    """Run `command` in `count` processes that find each other; gives the leader's status, or 1 if another one failed.

    SIGTERM goes on to all of them, and they have a while to end. If one fails the others are ended. A leader that was
    killed gives 128 and the signal's number, as in a shell.
    """
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # they are all here, and the machine's name may mean nothing
    with tempfile.TemporaryDirectory(prefix="petpark-processes-") as name, _signals_kept():
        status = Path(name) / "status"
        os.environ[_STATUS_FILE] = str(status)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=job,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="127.0.0.1",
            max_restarts=0,  # whoever started this machine starts the job again, on one that is well
            shutdown_timeout=_GRACE_SECONDS,
            logs_specs=DefaultLogsSpecs(log_dir=name),
        )
        died: dict[int, int] = {}
        try:
            elastic_launch(config, command[0])(*command[1:])
        except ChildFailedError as error:
            died = {rank: failure.exitcode for rank, failure in error.failures.items()}
        except SignalException as error:
            died = {0: -int(error.sigval)}  # where the leader could say no more
        finally:
            del os.environ[_STATUS_FILE]
        if any(code == _FAILED for code in died.values()):
            return _FAILED
        if status.exists():
            return int(status.read_text())
        code = died.get(0, -signal.SIGTERM if died else 0)
        return 128 - code if code < 0 else code


def note(status: int) -> None:
    """Tell whoever started this process how the job ended, if this is the leader of several."""
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
