"""Processes that `python -m training` starts: how many, how they end, and a whole job by two of them."""

import functools
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from registry.layout.jobs import checkpoints_prefix
from registry.layout.variables import Variable
from registry.store.memory_store import MemoryStore
from registry.store.s3_client import s3_client
from registry.store.s3_store import S3Store
from tests.moto_cloud import MotoCloud
from tests.training.conftest import REQUESTER, TINY
from training.dataset import Ingestion
from training.distributed import processes
from training.distributed.processes import launch, process_count
from training.errors import SpecMalformed
from training.job import JobSpec, find_result, submit

ROOT = Path(__file__).parents[3]
MANY_EPOCHS = replace(TINY, epochs=1_000)

type Launch = Callable[[str], int]


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """Run a small script in two processes; it knows `rank`, `say(status)` as the leader does, and `folder`."""
    monkeypatch.setenv("FOLDER", str(tmp_path))
    # torch's launcher inspects its own call stack twenty times. Reading source lines searches all modules of this
    # process for each frame, which takes a second of CPU time.
    monkeypatch.setattr(inspect, "stack", functools.partial(inspect.stack, 0))
    head = (
        "import os, signal, sys, time; from pathlib import Path\n"
        "rank, folder = int(os.environ['RANK']), Path(os.environ['FOLDER'])\n"
        "def say(status): Path(os.environ['PETPARK_STATUS_FILE']).write_text(str(status))\n"
    )
    return lambda script: launch("job", 2, [sys.executable, "-c", head + script])


@pytest.mark.parametrize("status", range(5))
def test_the_leaders_status_is_the_jobs(launched: Launch, status: int):
    assert launched(f"if rank == 0: say({status}); sys.exit({status})") == status


def test_an_assistant_that_fails_ends_the_leader_and_the_job_has_failed(launched: Launch):
    leader = (
        "signal.signal(signal.SIGTERM, lambda *_: (say(3), sys.exit(3)))\n(folder / 'ready').touch(); time.sleep(60)"
    )
    assistant = "while not (folder / 'ready').exists(): time.sleep(0.01)\nsys.exit(1)"
    assert launched(f"if rank == 0:\n {leader.replace(chr(10), chr(10) + ' ')}\n{assistant}") == 1


def test_a_leader_that_was_killed_ends_as_in_a_shell(launched: Launch):
    assert launched("if rank == 0: os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(60)") == 137


def test_a_signal_reaches_the_leader_which_has_time_to_end(launched: Launch, tmp_path: Path):
    def warn() -> None:
        while not all((tmp_path / f"ready {rank}").exists() for rank in range(2)):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    warner = threading.Thread(target=warn)
    warner.start()
    status = launched(
        "def end(*_):\n"
        " time.sleep(0.3); (folder / f'checkpoint {rank}').touch()\n"
        " if rank == 0: say(3)\n"
        " sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, end); (folder / f'ready {rank}').touch(); time.sleep(60)"
    )
    warner.join()
    assert status == 3
    assert all((tmp_path / f"checkpoint {rank}").exists() for rank in range(2))
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("gpus", "configured", "count"), [(0, None, 1), (1, None, 1), (4, None, 4), (0, "2", 2), (4, "2", 2), (4, "1", 1)]
)
def test_there_is_a_process_for_each_gpu_unless_somebody_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, gpus: int, configured: str | None, count: int
):
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.delenv(Variable.PROCESSES, raising=False)
    if configured:
        monkeypatch.setenv(Variable.PROCESSES, configured)
    assert process_count() == count
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    assert process_count() == 1, "one of several starts no others"


@pytest.mark.parametrize(
    ("configured", "expected"), [("0", "such as 2"), ("two", "such as 2"), ("5", "has only 4 GPUs")]
)
def test_a_number_of_processes_that_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, configured: str, expected: str
):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setenv(Variable.PROCESSES, configured)
    with pytest.raises(SpecMalformed, match=expected):
        process_count()


def test_only_the_leader_of_several_notes_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RANK", "0")
    processes.report_status(1)
    monkeypatch.setenv("PETPARK_STATUS_FILE", str(tmp_path / "status"))
    monkeypatch.setenv("RANK", "1")
    processes.report_status(2)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("RANK", "0")
    processes.report_status(3)
    assert (tmp_path / "status").read_text() == "3"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An S3 server with petpark's buckets, and what an instance's processes find in their environment."""
    with MotoCloud() as opened:
        variables = {
            **opened.environment,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9",
            Variable.JOB: "job",
            Variable.MODEL: "pets",
            Variable.MODEL_STORE: opened.make_bucket("models"),
            Variable.DATA_LAKE: opened.make_bucket("lake"),
            Variable.WORKSPACE: opened.make_bucket("work"),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield variables


def test_an_instance_trains_in_two_processes_and_a_signal_ends_in_a_checkpoint(
    lake: MemoryStore, ingestion: Ingestion, cloud: dict[str, str], tmp_path: Path
):
    work, photos = (S3Store(s3_client(cloud["AWS_ENDPOINT_URL"]), name) for name in ("work", "lake"))
    for key in lake.keys(""):
        photos.create(key, lake.get(key))
    submit(work, "job", JobSpec(dataset=ingestion.sha256, seed=3, requested_by=REQUESTER, hyper_parameters=MANY_EPOCHS))
    variables = {Variable.PROCESSES: "2", "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "training"],
        cwd=ROOT,
        env={**os.environ, **cloud, **variables},
        stdout=subprocess.PIPE,
        text=True,
    ) as instance:
        assert instance.stdout
        messages: list[str] = []
        for line in instance.stdout:
            messages.append(line)
            if '"event": "epoch"' in line:
                instance.terminate()  # as an instance that shuts down does
    assert instance.returncode == 3, "".join(messages)
    assert "petpark training starts 2 processes\n" in messages
    events = [json.loads(line) for line in messages if line.startswith("{")]
    assert [event["event"] for event in events if event["event"] in {"photos decoded", "epoch"}][:2] == [
        "photos decoded",
        "epoch",
    ]
    (interrupted,) = [event for event in events if event["event"] == "interrupted"]
    (assistant,) = [event for event in events if event["event"] == "assistant ended"]
    assert "a checkpoint was written" in interrupted["message"]
    assert assistant["rank"] == 1
    assert list(work.keys(checkpoints_prefix("job")))
    assert find_result(work, "job") is None
    assert list(tmp_path.glob("petpark-*")) == [], "nothing is left behind"
