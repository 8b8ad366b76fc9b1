"""Instances that train together find each other by an object that the first writes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry.layout.variables import Variable
from registry.store.memory_store import MemoryStore
from tests.training.imds import Imds, serving
from training.distributed import processes
from training.distributed.rendezvous import Rendezvous, claim
from training.errors import Interrupted, SpecMalformed

ROOT = Path(__file__).parents[3]


@pytest.fixture
def imds() -> Iterator[Imds]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(Variable.HOST, raising=False)


def facts(address: str) -> dict[str, str]:
    return {"local-ipv4": address}


def test_of_an_attempts_instances_the_one_that_comes_first_leads(imds: Imds):
    store = MemoryStore()
    imds.facts = facts("127.0.0.2")
    first = claim(store, "job", "job.1", 2, endpoint=imds.url)
    imds.facts = facts("127.0.0.3")
    second = claim(store, "job", "job.1", 2, endpoint=imds.url)
    assert (first.index, first.host, second.index) == (0, "127.0.0.2", 1)
    assert (second.host, second.port, second.address) == (first.host, first.port, "127.0.0.3")
    assert claim(store, "job", "job.2", 2, endpoint=imds.url).index == 0, "the next attempt meets anew"
    assert Rendezvous.from_json(second.to_json()) == second


def test_each_of_many_instances_has_an_index_of_its_own_whatever_their_order(imds: Imds):
    store, size = MemoryStore(), 5
    joined: list[Rendezvous] = []
    for number in range(size):
        imds.facts = facts(f"127.0.0.{2 + number}")
        joined.append(claim(store, "job", "job.1", size, endpoint=imds.url))
    assert [each.index for each in joined] == list(range(size))
    assert {(each.host, each.port) for each in joined} == {(joined[0].host, joined[0].port)}
    imds.facts = facts("127.0.0.9")
    with pytest.raises(Interrupted, match="has 5 instances already"):
        claim(store, "job", "job.1", size, endpoint=imds.url)


@pytest.mark.parametrize("text", ["", "[]", '{"index": 0}', '{"place": 1}'])
def test_what_is_no_rendezvous_in_the_environment_is_named(text: str):
    with pytest.raises(SpecMalformed, match="PETPARK_RENDEZVOUS"):
        Rendezvous.from_json(text)


def test_the_first_instance_listens_on_a_port_that_no_outgoing_connection_takes(imds: Imds):
    imds.facts = facts("127.0.0.2")
    port = claim(MemoryStore(), "job", "job.1", 2, endpoint=imds.url).port
    assert 1024 < port < 32_768, "https://man7.org/linux/man-pages/man7/ip.7.html: ip_local_port_range"


def test_outside_ec2_a_job_of_several_instances_is_refused():
    with pytest.raises(SpecMalformed, match="no instance metadata"):
        claim(MemoryStore(), "job", "job.1", 2, endpoint="http://127.0.0.1:9")


def test_an_instance_without_an_address_is_refused(imds: Imds):
    imds.facts = {}
    with pytest.raises(SpecMalformed, match="needs their addresses"):
        claim(MemoryStore(), "job", "job.1", 2, endpoint=imds.url)


def test_instances_talk_over_the_interface_of_their_default_route(monkeypatch: pytest.MonkeyPatch):
    routes = "Iface\tDestination\tGateway\nens5\t0000140A\t00000000\nens6\t00000000\t0100140A\n"
    monkeypatch.setattr(Path, "read_text", lambda _path: routes)
    assert Rendezvous(index=0, size=2, address="10.20.0.7", host="10.20.0.7", port=1).interface == "ens6"


_INSTANCE = """
import os, sys
from training.distributed.rendezvous import Rendezvous
from training.distributed.processes import launch
index, port, count, script = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
rendezvous = Rendezvous(index=index, size=int(sys.argv[5]), address=f"127.0.0.{2 + index}", host="127.0.0.2", port=port)
sys.exit(launch("job", count, [sys.executable, "-c", script], rendezvous=rendezvous))
"""
"""One of several instances, with an address of its own."""


@pytest.fixture
def run(imds: Imds, tmp_path: Path) -> Callable[..., list[int]]:
    """Returns the statuses of instances, two by default, that run a script in some processes each.

    It knows `rank`, `folder`, `say(status)` as the leader does, and `join()`.
    """
    imds.facts = facts("127.0.0.2")
    port = claim(MemoryStore(), "job", "job.1", 2, endpoint=imds.url).port
    head = (
        "import os, signal, sys, time, torch; from pathlib import Path; from datetime import timedelta\n"
        "rank, folder = int(os.environ['RANK']), Path(os.environ['FOLDER'])\n"
        "def say(status): Path(os.environ['PETPARK_STATUS_FILE']).write_text(str(status))\n"
        "def join(): torch.distributed.init_process_group('gloo', timeout=timedelta(seconds=20))\n"
    )

    def run(script: str, count: int, size: int = 2) -> list[int]:
        variables = {**os.environ, "FOLDER": str(tmp_path), "PYTHONPATH": str(ROOT)}
        instances = [
            subprocess.Popen(
                [sys.executable, "-c", _INSTANCE, str(index), str(port), str(count), head + script, str(size)],
                env=variables,
            )
            for index in range(size)
        ]
        try:
            return [instance.wait(240) for instance in instances]
        finally:
            for instance in instances:
                instance.kill()

    return run


def test_processes_of_two_instances_are_one_group_and_the_first_leads(run: Callable[..., list[int]], tmp_path: Path):
    statuses = run(
        "join(); total = torch.tensor([float(rank)]); torch.distributed.all_reduce(total)\n"
        "local, here = (os.environ[f'LOCAL_{name}'] for name in ('RANK', 'WORLD_SIZE'))\n"
        "(folder / str(rank)).write_text(f'{int(total)} {local} {here}')\n"
        "if rank == 0: say(3); torch.distributed.destroy_process_group(); sys.exit(3)\n"
        "torch.distributed.destroy_process_group()",
        2,
    )
    assert [(tmp_path / str(rank)).read_text() for rank in range(4)] == ["6 0 2", "6 1 2", "6 0 2", "6 1 2"]
    assert statuses == [3, 0], "the status of the job is told where its leader is"


def test_three_instances_connect(run: Callable[..., list[int]], tmp_path: Path):
    statuses = run(
        "join(); total = torch.tensor([float(rank)]); torch.distributed.all_reduce(total)\n"
        "(folder / str(rank)).write_text(str(int(total)))\n"
        "if rank == 0: say(0)\n"
        "torch.distributed.destroy_process_group()",
        1,
        size=3,
    )
    assert [(tmp_path / str(rank)).read_text() for rank in range(3)] == ["3", "3", "3"]
    assert statuses == [0, 0, 0]


def test_an_instance_that_is_gone_is_missed_by_the_other(run: Callable[..., list[int]]):
    statuses = run(
        "join()\n"
        "if rank == 1: os.kill(os.getppid(), signal.SIGKILL); os.kill(os.getpid(), signal.SIGKILL)\n"
        "try: torch.distributed.all_reduce(torch.zeros(1))\n"
        "except Exception: rank == 0 and say(3); sys.exit(3)",
        1,
    )
    assert statuses[0] == 3


def test_instances_that_do_not_find_each_other_are_an_interruption(imds: Imds, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "TIMEOUT_SECONDS", 1)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "lo")
    imds.facts = facts("127.0.0.1")
    alone = claim(MemoryStore(), "job", "job.1", 2, endpoint=imds.url)
    lost = Rendezvous(index=1, size=2, address="127.0.0.1", host=alone.host, port=alone.port)
    # Without the limit above, torch would wait half an hour, and pytest end this test long before.
    with pytest.raises(Interrupted, match="could not connect to each other"):
        processes.launch("job", 1, [sys.executable, "-c", "pass"], rendezvous=lost)
