""""""

from __future__ import annotations

from typing import Any

import pytest

from petpark.jobs import submission
from registry.layout.jobs import JOB_TAG, job_result_key
from registry.store.memory_store import MemoryStore
from registry.store.object_store import ObjectStore
from tests.petpark.conftest import ACCOUNT, FakeTarget, Place
from training.job import EpochRecord, JobResult, JobSpec

DATASET = "d" * 64
ALICE = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/alice"
BOB = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/bob"


@pytest.fixture
def target(place: Place, ec2: Any) -> FakeTarget:
    return place.target()


@pytest.fixture
def workspace(place: Place) -> ObjectStore:
    return place.buckets.setdefault("workspace", MemoryStore())


@pytest.fixture
def job(target: FakeTarget) -> str:
    return submission.submit(target, JobSpec(dataset=DATASET, seed=3, requested_by=BOB))


def epoch(number: int, of: int = 3) -> EpochRecord:
    return EpochRecord(
        epoch=number, of=of, train_loss=0.5, loss=0.4, accuracy=0.8 + number / 100, learning_rate=0.001, seconds=2.0
    )


def finish(workspace: ObjectStore, job: str, **changes: Any) -> None:
    usual: dict[str, Any] = {"job": job, "status": "succeeded", "version": 1, "digest": "sha256:x"}
    result = JobResult(**{**usual, **changes})
    workspace.create(job_result_key(job), result.to_json())


def launched(ec2: Any, job: str, instances: int = 1) -> list[str]:
    """Instances that work on a job, as the state machine launches them."""
    tags = [{"ResourceType": "instance", "Tags": [{"Key": JOB_TAG, "Value": job}]}]
    made = ec2.run_instances(ImageId="ami-12c6146b", MinCount=instances, MaxCount=instances, TagSpecifications=tags)
    return [machine["InstanceId"] for machine in sorted(made["Instances"], key=lambda each: each["AmiLaunchIndex"])]
