"""One small dataset and one finished job, shared by the tests that only look at them."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from registry.store.memory_store import MemoryStore
from registry.store.object_store import ObjectStore
from registry.versions.catalog import Catalog
from tests.folder_store import FolderStore
from tests.once_a_run import made_once
from tests.training.photos import write_photos
from training.dataset.ingest import Ingestion, ingest
from training.hyper_parameters import HyperParameters
from training.job import JobResult, JobSpec
from training.jobs.run import run_job

TINY = HyperParameters(image_size=32, epochs=2, batch_size=8, light=0.05)
REQUESTER = "arn:aws:sts::000000000000:assumed-role/publisher/ana"


@dataclass(frozen=True, kw_only=True)
class Built:
    """A finished job and everything it left behind."""

    spec: JobSpec
    result: JobResult
    ingestion: Ingestion
    lake: MemoryStore
    workspace: MemoryStore
    catalog: Catalog
    directory: Path


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def lake() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(scope="session")
def ingestion(tmp_path_factory: pytest.TempPathFactory, lake: MemoryStore) -> Ingestion:
    return ingest(write_photos(tmp_path_factory.mktemp("photos"), per_class=40), lake, seed=1)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, lake: MemoryStore, ingestion: Ingestion) -> Built:
    """The job runs once for all processes of a test run; each has its own copy of what it left."""
    spec = JobSpec(dataset=ingestion.sha256, seed=3, requested_by=REQUESTER, hyper_parameters=TINY, code="c" * 64)

    def run(folder: Path) -> None:
        stores = {"lake": lake, "workspace": MemoryStore(), "registry": MemoryStore()}
        (folder / "job").mkdir()
        result = run_job(
            "job-1",
            spec,
            workspace=stores["workspace"],
            lake=lake,
            catalog=Catalog(stores["registry"], "pets"),
            directory=folder / "job",
            model_store="models",
            trained_by="arn:aws:iam::000000000000:role/training",
        )
        (folder / "result.json").write_bytes(result.to_json())
        for name, store in stores.items():
            _copy(store, FolderStore(folder / name))

    shared = made_once(tmp_path_factory, "job", run)
    workspace, registry = MemoryStore(), MemoryStore()
    for name, store in {"lake": lake, "workspace": workspace, "registry": registry}.items():
        _copy(FolderStore(shared / name), store)
    directory = tmp_path_factory.mktemp("job")
    shutil.copytree(shared / "job", directory, dirs_exist_ok=True)
    return Built(
        spec=spec,
        result=JobResult.from_json((shared / "result.json").read_bytes()),
        ingestion=ingestion,
        lake=lake,
        workspace=workspace,
        catalog=Catalog(registry, "pets"),
        directory=directory,
    )


def _copy(source: ObjectStore, to: ObjectStore) -> None:
    there = set(to.keys(""))
    for key in source.keys(""):
        if key not in there:
            to.create(key, source.get(key))
