"""Instances that train together find each other by what EC2 says of them, and by an object that the first writes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry.encoding import canonical
from registry.layout import Variable, meeting_key
from registry.store.memory_store import MemoryStore
from tests.training.imds import Imds, serving
from training.distributed import processes
from training.distributed.rendezvous import PATIENCE_SECONDS, Rendezvous, claim, meet
from training.errors import Interrupted, SpecMalformed

ROOT = Path(__file__).parents[3]
LAUNCH = "r-0a1b2c3d"


@pytest.fixture
def imds() -> Iterator[Imds]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(Variable.HOST, raising=False)


def facts(index: int, *, launch: str = LAUNCH, address: str = "127.0.0.1") -> dict[str, str]:
    return {"reservation-id": launch, "ami-launch-index": str(index), "local-ipv4": address}


def pausing(*actions: Callable[[], object]) -> Callable[[float], None]:
    left = iter(actions)
    return lambda _seconds: (next(left)(), None)[1]


def test_the_first_writes_where_it_listens_and_the_others_wait_for_that(imds: Imds):
    store = MemoryStore()
    imds.facts = facts(0)
    first = meet(store, "job", 3, endpoint=imds.url)
    assert (first.index, first.size, first.host, first.interface) == (0, 3, "127.0.0.1", "lo")
    imds.facts = facts(2)
    third = meet(store, "job", 3, endpoint=imds.url, pause=pausing())
    assert (third.index, third.size, third.host, third.port) == (2, 3, first.host, first.port)


def test_whoever_boots_faster_than_the_first_waits_for_it(imds: Imds):
    store = MemoryStore()
    imds.facts = facts(1)
    place = canonical({"host": "10.20.0.7", "port": 40_000})
    comes = pausing(lambda: None, lambda: store.create(meeting_key("job", LAUNCH), place))
    second = meet(store, "job", 2, endpoint=imds.url, pause=comes)
    assert (second.host, second.port, second.address) == ("10.20.0.7", 40_000, "127.0.0.1")


def test_a_later_launch_of_the_same_job_meets_anew(imds: Imds):
    store = MemoryStore()
    imds.facts = facts(0)
    meet(store, "job", 2, endpoint=imds.url)
    with pytest.raises(Interrupted, match="have met before"):
        meet(store, "job", 2, endpoint=imds.url)
    imds.facts = facts(0, launch="r-later")
    assert meet(store, "job", 2, endpoint=imds.url).index == 0


def test_a_first_instance_that_does_not_come_is_an_interruption(imds: Imds):
    imds.facts = facts(1)
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(Interrupted, match="the first of 2 instances did not come within 900 s"):
        meet(MemoryStore(), "job", 2, endpoint=imds.url, pause=pause, clock=lambda: now[0])
    assert now[0] >= PATIENCE_SECONDS


def test_a_machine_that_is_taken_away_waits_no_longer(imds: Imds):
    imds.facts = facts(1)
    with pytest.raises(Interrupted, match="taken away"):
        meet(MemoryStore(), "job", 2, endpoint=imds.url, should_stop=lambda: True)


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (facts(2), "instance 2 of launch r-0a1b2c3d at 127.0.0.1, and the job has 2 instances"),
        (facts(0, launch=""), "of launch "),
        ({"local-ipv4": "10.0.0.1"}, "instance None"),
    ],
)
def test_a_machine_that_is_none_of_the_jobs_instances_says_who_it_is(imds: Imds, known: dict[str, str], told: str):
    imds.facts = known
    with pytest.raises(SpecMalformed, match=told):
        meet(MemoryStore(), "job", 2, endpoint=imds.url)


def test_of_an_attempts_instances_the_one_that_comes_first_leads_whatever_ec2_calls_it(imds: Imds):
    store = MemoryStore()
    imds.facts = facts(1, launch="r-one", address="127.0.0.2")
    first = claim(store, "job", "job.1", 2, endpoint=imds.url)
    imds.facts = facts(0, launch="r-two", address="127.0.0.3")
    second = claim(store, "job", "job.1", 2, endpoint=imds.url)
    assert (first.index, first.host, second.index) == (0, "127.0.0.2", 1)
    assert (second.host, second.port, second.address) == (first.host, first.port, "127.0.0.3")
    assert claim(store, "job", "job.2", 2, endpoint=imds.url).index == 0, "the next attempt meets anew"
    assert Rendezvous.from_json(second.to_json()) == second


@pytest.mark.parametrize("text", ["", "[]", '{"index": 0}', '{"place": 1}'])
def test_what_is_no_meeting_in_the_environment_is_named(text: str):
    with pytest.raises(SpecMalformed, match="PETPARK_MEETING"):
        Rendezvous.from_json(text)


def test_outside_ec2_a_job_of_several_instances_is_refused():
    for find in (
        lambda: meet(MemoryStore(), "job", 2, endpoint="http://127.0.0.1:9"),
        lambda: claim(MemoryStore(), "job", "job.1", 2, endpoint="http://127.0.0.1:9"),
    ):
        with pytest.raises(SpecMalformed, match="no metadata"):
            find()


def test_instances_talk_over_the_interface_of_their_default_route(monkeypatch: pytest.MonkeyPatch):
    routes = "Iface\tDestination\tGateway\nens5\t0000140A\t00000000\nens6\t00000000\t0100140A\n"
    monkeypatch.setattr(Path, "read_text", lambda _path: routes)
    assert Rendezvous(index=0, size=2, address="10.20.0.7", host="10.20.0.7", port=1).interface == "ens6"


_INSTANCE = """
import os, sys
from training.distributed.rendezvous import Rendezvous
from training.distributed.processes import launch
index, port, count, script = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
meeting = Rendezvous(index=index, size=2, address=f"127.0.0.{2 + index}", host="127.0.0.2", port=port)
sys.exit(launch("job", count, [sys.executable, "-c", script], meeting=meeting))
"""
"""One of two instances, with an address of its own."""


@pytest.fixture
def run(imds: Imds, tmp_path: Path) -> Callable[[str, int], list[int]]:
    """Returns the statuses of two instances that run a script in some processes each.

    It knows `rank`, `folder`, `say(status)` as the leader does, and `join()`.
    """
    imds.facts = facts(0, address="127.0.0.2")
    port = meet(MemoryStore(), "job", 2, endpoint=imds.url).port
    head = (
        "import os, signal, sys, time, torch; from pathlib import Path; from datetime import timedelta\n"
        "rank, folder = int(os.environ['RANK']), Path(os.environ['FOLDER'])\n"
        "def say(status): Path(os.environ['PETPARK_STATUS_FILE']).write_text(str(status))\n"
        "def join(): torch.distributed.init_process_group('gloo', timeout=timedelta(seconds=20))\n"
    )

    def run(script: str, count: int) -> list[int]:
        variables = {**os.environ, "FOLDER": str(tmp_path), "PYTHONPATH": str(ROOT)}
        instances = [
            subprocess.Popen(
                [sys.executable, "-c", _INSTANCE, str(index), str(port), str(count), head + script], env=variables
            )
            for index in range(2)
        ]
        try:
            return [instance.wait(240) for instance in instances]
        finally:
            for instance in instances:
                instance.kill()

    return run


def test_processes_of_two_instances_are_one_group_and_the_first_leads(
    run: Callable[[str, int], list[int]], tmp_path: Path
):
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


def test_an_instance_that_is_gone_is_missed_by_the_other(run: Callable[[str, int], list[int]]):
    statuses = run(
        "join()\n"
        "if rank == 1: os.kill(os.getppid(), signal.SIGKILL); os.kill(os.getpid(), signal.SIGKILL)\n"
        "try: torch.distributed.all_reduce(torch.zeros(1))\n"
        "except Exception: rank == 0 and say(3); sys.exit(3)",
        1,
    )
    assert statuses[0] == 3


def test_instances_that_do_not_find_each_other_are_an_interruption(imds: Imds, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "PATIENCE_SECONDS", 1)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "lo")
    imds.facts = facts(0)
    alone = meet(MemoryStore(), "job", 2, endpoint=imds.url)
    lost = Rendezvous(index=1, size=2, address="127.0.0.1", host=alone.host, port=alone.port)
    # Without the limit above, torch would wait half an hour, and pytest end this test long before.
    with pytest.raises(Interrupted, match="could not connect to each other"):
        processes.launch("job", 1, [sys.executable, "-c", "pass"], meeting=lost)
