"""What the doctor sees where something is deployed: the bucket, the key and the clock, by moto."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infra.policies import write_once_bucket
from petpark import doctor
from petpark.doctor import Check, Health
from petpark.errors import PulumiFailed, RehearsalNotRunning, StackNotDeployed, StackOutdated
from petpark.targets.target import Target
from registry.errors import ClockSkewed, KeyUnavailable, StoreUnavailable
from registry.layout.data_lake import (
    change_key,
    event_key,
    event_picture_key,
    ingestion_key,
    manifest_key,
    photo_key,
    quality_key,
)
from registry.store.memory_store import MemoryStore
from rehearsal.target import SUMMARY, open_rehearsal, rehearsal_target
from tests.petpark.conftest import FakeTarget, Place, outputs
from tests.petpark.test_doctor import checks

type Kind = Literal["aws", "rehearsal"]

GUARDS = [
    f"model store: {name}" for name in ("versions", "create only", "deletion", "plain HTTP", "encryption", "privacy")
]


@pytest.fixture
def bucket(cloud: None) -> Any:
    """An S3 client; the model store is as infra declares it."""
    s3: Any = boto3.client("s3")
    exported = outputs()
    s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket="models", VersioningConfiguration={"Status": "Enabled"})
    policy = write_once_bucket(
        "models",
        encryption_key=exported["encryption_key"],
        collector=exported["roles"]["collector"],
        promoter_id="AROA1",
        model="pets",
        channels={},
    )
    s3.put_bucket_policy(Bucket="models", Policy=json.dumps(policy))
    by_key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": exported["encryption_key"]}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": by_key}]}
    s3.put_bucket_encryption(Bucket="models", ServerSideEncryptionConfiguration=rules)
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket="models", PublicAccessBlockConfiguration=closed)
    return s3


def deployed(place: Place, root: Path, kind: Kind = "aws") -> dict[str, Check]:
    """The checks of what is deployed, by name."""
    return {check.name: check for check in doctor.deployed(kind, root, place.target)}


def test_a_platform_as_infra_declares_it_is_fine(place: Place, tmp_path: Path, bucket: Any) -> None:
    found = deployed(place, tmp_path)
    assert list(found) == ["clock", *GUARDS, "signing key", "data lake"]
    assert {check.health for check in found.values()} == {Health.FINE}


@pytest.mark.parametrize(("kind", "fix"), [("aws", "pulumi up --stack test"), ("rehearsal", "petpark rehearse down")])
def test_a_bucket_that_was_loosened_is_named_with_what_fixes_it(
    place: Place, tmp_path: Path, bucket: Any, kind: Kind, fix: str
) -> None:
    bucket.delete_bucket_policy(Bucket="models")
    bucket.put_bucket_versioning(Bucket="models", VersioningConfiguration={"Status": "Suspended"})
    found = deployed(place, tmp_path, kind)
    wrong = [name for name, check in found.items() if check.health is Health.MISSING]
    assert wrong == GUARDS[:4]
    assert found["model store: versions"].found == "expected every revision kept; found versioning suspended"
    assert all(found[name].fix.startswith(fix) for name in wrong)
    assert ("petpark models fsck" in found["model store: versions"].fix) == (kind == "aws")


def test_the_stack_to_fix_is_the_one_that_owns_the_registry(place: Place, tmp_path: Path, bucket: Any) -> None:
    (tmp_path / "Pulumi.prod.yaml").write_text("config:\n  petpark:platform: shared\n")
    bucket.delete_bucket_policy(Bucket="models")
    found = {check.name: check for check in doctor.deployed("aws", tmp_path, lambda: place.target("aws", "prod"))}
    assert found["model store: deletion"].fix.startswith("pulumi up --stack shared")


def test_a_bucket_that_is_gone_is_one_line(place: Place, tmp_path: Path, cloud: None) -> None:
    found = deployed(place, tmp_path)
    assert (found["model store"].health, "NoSuchBucket" in found["model store"].found) == (Health.MISSING, True)
    assert not found.keys() & set(GUARDS)


class SkewedStore(MemoryStore):
    def keys(self, prefix: str, *, after: str = "") -> Any:
        raise ClockSkewed("2026-01-01T12:00:00Z", actual="2026-01-01T10:00:00Z")


class SilentStore(MemoryStore):
    def keys(self, prefix: str, *, after: str = "") -> Any:
        raise StoreUnavailable("list", "no answer")


def test_a_clock_that_is_not_the_stores_is_found(place: Place, tmp_path: Path, bucket: Any) -> None:
    place.buckets["models"] = SkewedStore()
    clock = deployed(place, tmp_path)["clock"]
    assert (clock.health, clock.fix) == (Health.MISSING, "sudo timedatectl set-ntp true")
    assert "10:00" in clock.found
    assert "12:00" in clock.found


def test_a_store_that_does_not_tell_its_time_is_no_wrong_clock(place: Place, tmp_path: Path, bucket: Any) -> None:
    place.buckets["models"] = SilentStore()
    assert deployed(place, tmp_path)["clock"].health is Health.ABSENT


def test_a_signing_key_that_cannot_be_used_is_found(
    place: Place, tmp_path: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone:
        @property
        def key(self) -> Any:
            raise KeyUnavailable("arn", "it is pending deletion")

    monkeypatch.setattr(FakeTarget, "verifier", lambda *_, **__: Gone())
    key = deployed(place, tmp_path)["signing key"]
    assert (key.health, key.found) == (Health.MISSING, "it is pending deletion")
    assert key.fix == "pulumi up --stack test"


def refusing(error: Exception) -> Callable[[], Target]:
    def opener() -> Target:
        raise error

    return opener


NOT_DEPLOYED = [
    StackNotDeployed("Stack test is not deployed.", next_step="pulumi up --stack test"),
    RehearsalNotRunning("No rehearsal is running here.", next_step="petpark rehearse --keep"),
    PulumiFailed("not signed in", next_step="pulumi login"),
    ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "AssumeRole"),
    EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
]


@pytest.mark.parametrize("error", NOT_DEPLOYED, ids=lambda error: type(error).__name__)
def test_where_nothing_can_be_looked_at_the_doctor_says_so_and_is_content(tmp_path: Path, error: Exception) -> None:
    (last,) = doctor.deployed("rehearsal", tmp_path, refusing(error))
    assert (last.name, last.health) == ("model store", Health.ABSENT)
    assert last.fix


def test_a_stack_of_another_age_is_to_be_fixed(tmp_path: Path) -> None:
    old = StackOutdated("Stack test has no output 'channels'.", next_step="pulumi up --stack test")
    (last,) = doctor.deployed("aws", tmp_path, refusing(old))
    assert (last.health, last.fix) == (Health.MISSING, "pulumi up --stack test")


def test_without_a_kept_rehearsal_there_is_nothing_to_look_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (last,) = doctor.deployed("rehearsal", tmp_path, lambda: open_rehearsal("test"))
    assert (last.health, last.fix) == (Health.ABSENT, "petpark rehearse --keep")
    assert str(SUMMARY) in last.found


def test_a_rehearsal_whose_emulator_died_does_not_fail_the_doctor(tmp_path: Path) -> None:
    from petpark.targets.stacks import parse

    dead = rehearsal_target(parse("test", outputs()), {}, "http://127.0.0.1:1", ("test",))
    (last,) = doctor.deployed("rehearsal", tmp_path, lambda: dead)
    assert (last.name, last.health) == ("model store", Health.ABSENT)
    assert "petpark rehearse --keep" in last.fix


@pytest.mark.slow  # starts a process
def test_the_command_ends_with_1_where_the_bucket_is_loose(place: Place, bucket: Any) -> None:
    bucket.delete_bucket_policy(Bucket="models")
    code, found = checks("--target", "rehearsal", opener=place.target)
    assert code == 1
    assert found["model store: plain HTTP"]["health"] == "missing"


def test_an_object_in_the_data_lake_that_petpark_did_not_write_is_named(
    place: Place, tmp_path: Path, bucket: Any
) -> None:
    lake = place.target().store("lake")
    ours = (
        photo_key("a" * 64),
        manifest_key("b" * 64),
        change_key("b" * 64, "c" * 64),
        ingestion_key("b" * 64, "c" * 64),
        quality_key("b" * 64, 1, "html"),
        quality_key("b" * 64, 1, "json"),
        event_key("gate", "2026-11-26", "e" * 32),
        event_picture_key("gate", "2026-11-26", "e" * 32),
    )
    for key in ours:
        lake.create(key, b"ours")
    assert deployed(place, tmp_path)["data lake"].health is Health.FINE
    foreign = ("photos/sha256/x", "photos/notes.txt", "datasets/readme.md", "events/gate/today.json")
    for key in foreign:
        lake.create(key, b"theirs")
    found = deployed(place, tmp_path)["data lake"]
    assert (found.health, found.found[:9]) == (Health.ABSENT, "4 objects")
    assert all(key in found.found for key in foreign)


def test_a_data_lake_that_somebody_may_not_see_does_not_fail_the_doctor(
    place: Place, tmp_path: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_words: Any, role: str | None = None) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": f"not as {role}"}}, "AssumeRole")

    target = place.target()
    store = type(target).store
    monkeypatch.setattr(
        type(target),
        "store",
        lambda self, bucket, *, role=None: refused(role=role) if bucket == "lake" else store(self, bucket, role=role),
    )
    found = deployed(place, tmp_path)["data lake"]
    assert (found.health, "not as publisher" in found.found) == (Health.UNCHECKED, True)
