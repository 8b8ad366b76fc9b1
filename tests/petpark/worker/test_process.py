"""`python -m petpark.worker`: what it reads, whom it asks, how it ends; and what its environment must have."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from petpark.worker import __main__ as program
from petpark.worker.endings import FAILED, SUCCEEDED, UNUSABLE
from petpark.worker.tokens import Tokens
from registry.layout.jobs import job_spec_key, rendezvous_key
from registry.layout.variables import Variable
from registry.store.s3_store import S3Store
from tests.petpark.worker.machine import ATTEMPT, JOB, REQUESTER, Machine, order
from tests.training.imds import serving
from training.job import JobResult, JobSpec, find_result, store_result

ROOT = Path(__file__).parents[3]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A state machine whose workspace is a bucket by moto."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        Variable.JOB: JOB,
        Variable.ATTEMPT: ATTEMPT,
        Variable.WORKSPACE: "work",
        Variable.STACK: "test",
        Variable.HEARTBEAT_SECONDS: "300",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(program, "crt_transfer", lambda *_: None)  # moto stands before botocore alone
    with mock_aws(), serving() as imds:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url)
        imds.facts = {"instance-id": "i-7", "local-ipv4": "127.0.0.1"}
        client = boto3.client("s3")
        client.create_bucket(Bucket="work", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        machine = Machine(store=S3Store(client, "work"))  # pyright: ignore[reportArgumentType]
        monkeypatch.setattr(Tokens, "of_instance", lambda: Tokens(machine))  # pyright: ignore[reportArgumentType]
        yield machine


@pytest.mark.parametrize("name", [Variable.ATTEMPT, Variable.HEARTBEAT_SECONDS, Variable.STACK])
def test_a_missing_variable_is_named(machine: Machine, name: str, monkeypatch, capsys):
    monkeypatch.delenv(name)
    assert program.main() == UNUSABLE
    assert name in capsys.readouterr().err


def test_what_a_purpose_cannot_do_is_stored_and_answered(machine: Machine):
    machine.begin(order("report", kind="horoscope"))
    assert program.main() == FAILED
    result = find_result(machine.store, JOB)
    assert result is not None
    assert (result.status, result.error) == ("failed", "OrderMalformed")
    assert machine.answers[0] == ("boot", "success", {"instance": "i-7"})
    assert machine.answers[1][:2] == ("run", "CodeFailed")
    assert "invalid input kind: 'horoscope'" in machine.answers[1][2]


def test_a_setting_that_does_not_exist_ends_a_training_before_it_begins(machine: Machine):
    gates = {"data": {}, "model": {}, "checks": {}}
    inputs: dict[str, Any] = {
        "dataset": "d" * 64,
        "recipe": "two-cores",
        "settings": ["epoch=1"],
        "seed": 0,
        "gates": gates,
    }
    machine.begin(order("train", **inputs))
    assert program.main() == FAILED
    assert machine.store.stat(job_spec_key(JOB)) is None
    assert "'epoch=1' is not a setting; use name=value" in machine.answers[1][2]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"schema": "petpark.job/99"}'])
def test_a_spec_that_cannot_be_read_is_answered(machine: Machine, body: bytes):
    machine.begin(order("train"))
    machine.store.create(job_spec_key(JOB), body)
    assert program.main() == FAILED
    assert machine.answers[1][:2] == ("run", "CodeFailed")
    assert "SpecMalformed" in machine.answers[1][2]


def test_a_job_that_has_a_result_is_not_done_again(machine: Machine):
    machine.begin(order("train"))
    store_result(machine.store, JobResult(job=JOB, status="succeeded", version=2))
    assert program.main() == SUCCEEDED
    assert machine.answers[1][:2] == ("run", "success")


def test_of_several_instances_the_one_that_comes_first_answers(machine: Machine, monkeypatch):
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(program.TrainingProcess, "run", lambda _self, _stop, variables: seen.append(variables) or 0)
    spec = JobSpec(dataset="d" * 64, seed=0, requested_by=REQUESTER, instances=2)
    machine.store.create(job_spec_key(JOB), spec.to_json())
    machine.begin(order("train"))
    assert program.main() == 3, "no result was stored"
    assert [token for token, _, _ in machine.answers] == ["boot", "run"]
    assert program.main() == SUCCEEDED
    assert [token for token, _, _ in machine.answers] == ["boot", "run"], "the second says nothing"
    first, second = (json.loads(variables[Variable.RENDEZVOUS]) for variables in seen)
    assert (first["index"], second["index"], second["size"]) == (0, 1, 2)
    assert (first["host"], first["port"]) == (second["host"], second["port"])
    assert machine.store.stat(rendezvous_key(JOB, ATTEMPT)) is not None


_IMPORTS = """
import json, sys
from importlib import metadata
import petpark.targets.role_session, petpark.worker.__main__, registry.channels.promotion
owners = metadata.packages_distributions()
names = {module.partition(".")[0] for module in sys.modules}
print(json.dumps([owners[name] for name in names if name in owners]))
"""

OPTIONAL = {"brotli", "click", "pygments", "rich"}
"""httpx imports these where they are installed."""


def test_the_worker_needs_no_package_that_is_not_in_the_lock_of_trainings():
    lock = (ROOT / "requirements" / "training.txt").read_text()
    locked = set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    imported = [{name.lower().replace("_", "-") for name in owners} for owners in json.loads(done.stdout)]
    assert {"boto3"} in imported
    assert {"httpx"} in imported
    assert [owners for owners in imported if not owners & (locked | OPTIONAL | {"petpark"})] == []
