"""Two processes that train together learn what one process learns from the same batches."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import multiprocessing

from registry.layout.jobs import epoch_key, machine_key
from registry.store.memory_store import MemoryStore
from registry.versions.catalog import Catalog
from tests.folder_store import FolderStore
from tests.ports import free_port
from tests.training.conftest import Built
from tests.training.training_process import PARAMETERS, some_pixels
from training.distributed.group import Group
from training.errors import Interrupted, SpecMalformed
from training.fitting.checkpoint import Checkpoints
from training.fitting.train import train
from training.job import EpochRecord, JobSpec, find_result
from training.jobs.run import run_job
from training.jobs.worker import assist

SHARED = replace(PARAMETERS, epochs=3)


def train_in(group: Group, checkpoints: Checkpoints, stop_at: int | None = None) -> dict[str, Any]:
    records, requests = list[EpochRecord](), iter(range(1_000))
    model = train(
        some_pixels(),
        some_pixels(seed=6),
        classes=2,
        parameters=SHARED,
        seed=11,
        initial_weights=None,
        checkpoints=checkpoints,
        on_epoch=records.append,
        should_stop=lambda: next(requests) == stop_at,
        group=group,
    )
    curve = [(record.train_loss, record.loss) for record in records]
    return {"curve": curve, "weights": [weight.detach().numpy() for weight in model.parameters()]}


def take_part(rank: int, port: int, connection: Connection) -> None:
    """Train in one of two processes; when a machine notices that it will go, both stop, and both go on again."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    group, store = Group.join(), MemoryStore()
    results: dict[str, Any] = train_in(group, Checkpoints(MemoryStore(), "whole"))
    try:
        train_in(group, Checkpoints(store, "job"), stop_at=4 if group.rank == 1 else None)
    except Interrupted as error:
        results["interrupted"] = str(error)
    results["resumed"] = train_in(group, Checkpoints(store, "job"))["weights"]
    connection.send(results)
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def pair() -> list[Mapping[str, Any]]:
    """What two processes tell, each about itself."""
    context = multiprocessing.get_context("forkserver")
    port = free_port()
    pipes = [context.Pipe(duplex=False) for _ in range(2)]
    members = [context.Process(target=take_part, args=(rank, port, pipes[rank][1])) for rank in range(2)]
    for member in members:
        member.start()
    output = [pipe[0].recv() for pipe in pipes]
    for member in members:
        member.join()
    assert [member.exitcode for member in members] == [0, 0]
    return output


@pytest.fixture(scope="module")
def one() -> Mapping[str, Any]:
    return train_in(Group.alone(), Checkpoints(MemoryStore(), "job"))


def test_two_processes_have_the_loss_curve_of_one(pair: list[Mapping[str, Any]], one: Mapping[str, Any]):
    assert len(one["curve"]) == SHARED.epochs
    for mine, alone in zip(pair[0]["curve"], one["curve"], strict=True):
        assert mine == pytest.approx(alone, abs=2e-3)


def test_two_processes_end_with_the_same_weights(pair: list[Mapping[str, Any]]):
    for mine, others in zip(pair[0]["weights"], pair[1]["weights"], strict=True):
        assert (mine == others).all()


def test_only_the_leader_tells_how_it_goes(pair: list[Mapping[str, Any]]):
    assert pair[1]["curve"] == []


def test_when_one_machine_goes_all_stop_and_later_go_on_to_equal_weights(pair: list[Mapping[str, Any]]):
    assert "interrupted after 4 of 9 steps" in pair[0]["interrupted"]
    assert "interrupted after 4 of 9 steps" in pair[1]["interrupted"]
    for resumed, whole in zip(pair[0]["resumed"], pair[0]["weights"], strict=True):
        assert (resumed == whole).all()


@pytest.mark.parametrize("size", [2, 4])
def test_every_place_of_a_batch_has_one_process_and_its_mirror_image_the_same(size: int):
    parts = [Group(rank=rank, size=size, device=torch.device("cpu")).indices(16) for rank in range(size)]
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(16))
    for part in parts:
        assert torch.equal(15 - part.flip(0), part)


def test_a_batch_that_cannot_be_divided_is_refused_with_one_that_can():
    with pytest.raises(SpecMalformed, match="multiple of 4, not 10"):
        Group(rank=0, size=2, device=torch.device("cpu")).indices(10)


def run_or_assist(rank: int, port: int, folder: Path, spec: JobSpec) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    group, lake = Group.join(), FolderStore(folder / "lake")
    directory = folder / f"rank-{rank}"
    directory.mkdir()
    if group.is_leader:
        workspace, catalog = FolderStore(folder / "workspace"), Catalog(FolderStore(folder / "models"), "pets")
        run_job("job", spec, workspace=workspace, lake=lake, catalog=catalog, directory=directory, group=group)
    else:
        assist(spec, lake=lake, group=group, directory=directory)
    torch.distributed.destroy_process_group()


def test_a_job_with_an_assistant_publishes_one_version_with_the_loss_of_a_job_alone(built: Built, tmp_path: Path):
    context, port = multiprocessing.get_context("forkserver"), free_port()
    lake = FolderStore(tmp_path / "lake")
    for key in built.lake.keys(""):
        lake.create(key, built.lake.get(key))
    members = [context.Process(target=run_or_assist, args=(rank, port, tmp_path, built.spec)) for rank in range(2)]
    for member in members:
        member.start()
    for member in members:
        member.join()
    assert [member.exitcode for member in members] == [0, 0]
    result = find_result(FolderStore(tmp_path / "workspace"), "job")
    assert result
    assert (result.status, result.version) == ("succeeded", 1)
    together, alone = (
        EpochRecord.from_json(store.get(epoch_key(job, 2)))
        for store, job in ((FolderStore(tmp_path / "workspace"), "job"), (built.workspace, "job-1"))
    )
    assert together.train_loss == pytest.approx(alone.train_loss, abs=5e-3)
    machine = json.loads(FolderStore(tmp_path / "workspace").get(machine_key("job", 1)))
    assert machine["processes"] == 2
