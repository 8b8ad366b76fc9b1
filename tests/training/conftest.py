"""One small dataset and one finished job, shared by the tests that only look at them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from registry.store.memory_store import MemoryStore
from registry.versions.catalog import Catalog
from tests.training.photos import write_photos
from training.dataset.ingest import Ingestion, ingest
from training.hyper_parameters import HyperParameters
from training.job import JobResult, JobSpec
from training.jobs.run import run_job

TINY = HyperParameters(image_size=32, epochs=2, batch_size=8, light=0.05)
ASKER = "arn:aws:sts::000000000000:assumed-role/publisher/ana"


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
    workspace, catalog, directory = MemoryStore(), Catalog(MemoryStore(), "pets"), tmp_path_factory.mktemp("job")
    spec = JobSpec(dataset=ingestion.sha256, seed=3, requested_by=ASKER, hyper_parameters=TINY, code="c" * 64)
    result = run_job(
        "job-1",
        spec,
        workspace=workspace,
        lake=lake,
        catalog=catalog,
        directory=directory,
        model_store="models",
        trained_by="arn:aws:iam::000000000000:role/training",
    )
    return Built(
        spec=spec,
        result=result,
        ingestion=ingestion,
        lake=lake,
        workspace=workspace,
        catalog=catalog,
        directory=directory,
    )
