"""The operator's commands about models where every role's policy is enforced: each role suffices for its commands."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from infra import policies
from monitoring.late_labels.records import Answer
from petpark import doctor
from petpark.__main__ import app
from petpark.doctor import Health
from petpark.labels import samples
from petpark.labels.labelling import Labelling
from petpark.targets.stacks import parse
from petpark.targets.target import Target
from registry.encoding import sha256_hex
from registry.errors import StoreRefused
from registry.layout.model_store import api_keys_prefix, blob_key
from registry.layout.roles import Role
from registry.store.s3_store import S3Store
from registry.version import Version
from registry.versions.catalog import Catalog
from rehearsal.credentials import Person
from rehearsal.emulator import Emulator
from rehearsal.target import rehearsal_target
from serving.auth.key_log import KeyLog
from serving.auth.key_polling import KeyRing
from serving.telemetry import Metrics
from tests.petpark.conftest import outputs
from tests.petpark.labels.recorded_photos import MONDAY, NEXT_MONDAY, NOW, record
from tests.petpark.models.test_lineage import DATASET
from tests.rehearsal.emulator.conftest import ACCOUNT, allow, document
from training.dataset.manifest import store_manifest
from training.job import JobSpec, submit

pytestmark = pytest.mark.rehearsal

PEOPLE = {
    Role.PUBLISHER: "ana",
    Role.CERTIFIER: "vera",
    Role.PROMOTER: "mia",
    Role.READER: "rui",
    Role.COLLECTOR: "olga",
    Role.REPAIRER: "iris",
}
TRAINER = f"arn:aws:sts::{ACCOUNT}:assumed-role/training/i-1"


@dataclass(frozen=True, kw_only=True)
class Park:
    """A registry with two versions, and the people around it."""

    target: Target
    versions: tuple[Version, Version]

    def run(self, *words: str) -> Any:
        """What a command tells programs."""
        said = CliRunner().invoke(app, [*words, "--json"], obj=lambda _kind, _stack: self.target)
        assert said.exit_code == 0, said.output
        return json.loads(said.stdout)


@pytest.fixture(scope="module")
def park(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Park:
    mark = uuid.uuid4().hex[:6]
    s3, kms = emulator.client("s3"), emulator.client("kms")
    encryption = kms.create_key()["KeyMetadata"]["Arn"]
    signing = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["Arn"]
    buckets = {name: f"{name.replace('_', '-')}-{mark}" for name in ("model_store", "data_lake", "workspace")}
    for bucket in buckets.values():
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": emulator.region})
    iam = emulator.client("iam")
    places = policies.ResourceNames(model="pets", encryption_key=encryption, signing_key=signing, **buckets)
    roles = {role: make_role(iam, role, mark, places) for role in Role}
    guard(s3, places, collector=roles[Role.COLLECTOR])
    exported = {
        **outputs("test"),
        **buckets,
        "encryption_key": encryption,
        "signing_key": signing,
        "roles": {str(role): arn for role, arn in roles.items()},
    }
    people = [make_person(iam, role, mark, roles[role]) for role in Role]
    target = rehearsal_target(parse("test", exported), {}, emulator.url, ("test",), people=people)
    first = publish(target, tmp_path_factory.mktemp("first"), accuracy=0.9)
    second = publish(target, tmp_path_factory.mktemp("second"), accuracy=0.95, begun_with=first)
    return Park(target=target, versions=(first, second))


def make_role(iam: Any, role: Role, mark: str, places: policies.ResourceNames) -> str:
    name = f"{role}-{mark}"
    trusting = policies.as_json(policies.trust_people(ACCOUNT))
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting)["Role"]["Arn"]
    granted = policies.as_json(policies.operator(role, places))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=granted)
    if role is Role.CERTIFIER:
        answers = policies.as_json(policies.answer_tokens(places))
        iam.put_role_policy(RoleName=name, PolicyName="answers", PolicyDocument=answers)
    return arn


def make_person(iam: Any, role: Role, mark: str, arn: str) -> Person:
    """Somebody who may take this one role."""
    name = f"{PEOPLE[role]}-{mark}"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(allow("sts:AssumeRole", arn)))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Person(name=name, role=role, access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])


def guard(s3: Any, places: policies.ResourceNames, *, collector: str) -> None:
    """Set the model store up as infra declares it."""
    bucket = places.model_store
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    by_key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": places.encryption_key}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": by_key}]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=closed)
    policy = policies.write_once_bucket(bucket, places.encryption_key, collector, "AROA1", places.model, {})
    s3.put_bucket_policy(Bucket=bucket, Policy=policies.as_json(policy))


def publish(target: Target, folder: Path, *, accuracy: float, begun_with: Version | None = None) -> Version:
    """What a training leaves behind, as the publisher."""
    catalog = Catalog(target.store(target.outputs.model_store, role=Role.PUBLISHER), "pets")
    dataset = store_manifest(target.store(target.outputs.data_lake, role=Role.PUBLISHER), DATASET)
    number = len(catalog.numbers()) + 1
    weights = begun_with.file("weights.pt") if begun_with else None
    spec = JobSpec(
        dataset=dataset,
        seed=number,
        requested_by=target.identity(role=Role.PUBLISHER),
        initial_weights=weights.sha256 if weights else None,
    )
    submit(target.store(target.outputs.workspace, role=Role.PUBLISHER), f"job-{number}", spec)
    files = {name: folder / name for name in ("model.onnx", "report.html", "weights.pt")}
    for name, path in files.items():
        path.write_text(f"{name} {number}")
    lineage = {"run": f"job-{number}", "dataset": dataset, "trained_by": TRAINER, "requested_by": spec.requested_by}
    lineage |= {"initial_weights": weights.sha256} if weights else {}
    metrics = {"accuracy": accuracy, "gate_accuracy": 1.0}
    return catalog.publish(files, labels=["cat", "dog"], metrics=metrics, lineage=lineage)


@pytest.fixture(scope="module")
def released(park: Park) -> Park:
    """Both versions certified, prod at 1, then at 2, and rolled back."""
    for number in ("1", "2"):
        park.run("certify", number, "--decision", "certified", "--note", "looked at it")
        park.run("promote", number, "--channel", "prod", "--why", f"release {number}")
    park.run("rollback", "--channel", "prod", "--why", "a drill")
    return park


def test_decisions_bear_the_names_of_those_who_took_them(released: Park) -> None:
    shown = released.run("models", "show", "1")
    (certificate,) = shown["certificates"]
    assert certificate["validity"] == "in force"
    assert "/vera-" in certificate["by"]
    moves = released.run("models", "history")["moves"]
    assert [move["version"] for move in moves] == [1, 2, 1]
    assert all("/mia-" in move["by"] for move in moves)


def test_the_reader_may_look_at_everything_about_models(
    released: Park, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert released.run("models", "list")["channels"]["prod"]["version"] == 1
    assert released.run("models", "report", "2")["fetched"]
    assert released.run("models", "verify", "2")["sound"]
    proven = released.run("models", "history", "--verify")
    assert released.run("models", "history", "--since", proven["head"]["sha256"])["sound"]
    assert released.run("models", "fsck", "--deep")["sound"]


def test_versions_lead_to_the_photos_that_they_were_made_of(released: Park) -> None:
    found = released.run("models", "diff", "1", "2")
    assert found["metrics"]["accuracy"]["delta"] == pytest.approx(0.05)
    origin = released.run("models", "lineage", "2", "--photos")
    assert len(origin["dataset"]["list"]) == len(DATASET.photos)
    assert origin["run"]["spec"]["seed"] == 2
    assert origin["initial_weights"]["origin"]["version"] == 1


def test_only_what_nobody_uses_is_collected_and_no_guard_minds(released: Park, monkeypatch: pytest.MonkeyPatch) -> None:
    store = released.target.store(released.target.outputs.model_store, role=Role.PUBLISHER)
    store.create(blob_key("pets", sha256_hex(b"lost")), b"lost")
    assert released.run("models", "gc", "--dry-run")["young"]["files"] == 1
    monkeypatch.setattr("registry.maintenance.garbage_collection.GRACE", timedelta(seconds=-1))
    assert released.run("models", "gc", "--yes")["removed"] == {"files": 1, "bytes": 4}
    assert released.run("models", "fsck", "--deep")["sound"]


def test_the_doctor_finds_the_platform_as_it_should_be(park: Park, tmp_path: Path) -> None:
    checks = list(doctor.deployed("rehearsal", tmp_path, lambda: park.target))
    assert [check for check in checks if check.health is not Health.FINE] == []
    assert len(checks) == 9


def test_the_doctor_finds_a_bucket_that_somebody_loosened(park: Park, tmp_path: Path, emulator: Emulator) -> None:
    s3, bucket = emulator.client("s3"), park.target.outputs.model_store
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    try:
        checks = doctor.deployed("rehearsal", tmp_path, lambda: park.target)
        wrong = [check.name for check in checks if check.health is Health.MISSING]
    finally:
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert wrong == ["model store: create only", "model store: deletion", "model store: plain HTTP"]


def test_the_promoter_keeps_the_keys_of_endpoints_and_the_reader_sees_them(park: Park, emulator: Emulator) -> None:
    made = park.run("keys", "create", "gate", "--rate", "5")
    assert park.run("keys", "rotate", "gate")["key"] != made["key"]
    assert [key["name"] for key in park.run("keys", "list")["keys"]] == ["gate"]
    for role in set(Role) - {Role.PROMOTER}:
        with pytest.raises(StoreRefused):
            park.target.store(park.target.outputs.model_store, role=role).create("api_keys/test/00000009.json", b"x")
    assert park.run("keys", "revoke", "gate")["revoked"] == "gate"


def test_an_endpoint_reads_its_own_keys_and_writes_none(park: Park, emulator: Emulator) -> None:
    iam, sts = emulator.client("iam"), emulator.client("sts")
    bucket = park.target.outputs.model_store
    places = policies.ResourceNames(
        model="pets",
        model_store=bucket,
        data_lake="d",
        workspace="w",
        encryption_key=park.target.outputs.encryption_key,
        signing_key="arn:aws:kms:eu-west-1:1:key/s",
    )
    name = f"endpoint-{uuid.uuid4().hex[:6]}"
    trusting = policies.as_json(policies.trust_service("ec2.amazonaws.com"))
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting)["Role"]["Arn"]
    granted = policies.as_json(policies.endpoint(places, "arn:aws:logs:eu-west-1:1:log-group:/x", "test"))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=granted)
    found = sts.assume_role(RoleArn=arn, RoleSessionName="i-0123456789abcdef0")["Credentials"]
    s3: Any = boto3.client(
        "s3",
        endpoint_url=emulator.url,
        region_name=emulator.region,
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
    )
    store = S3Store(s3, bucket)
    key = park.run("keys", "create", "camera")["key"]
    ring = KeyRing(KeyLog(store, api_keys_prefix("test")), metrics=Metrics())
    assert ring.refresh()
    assert (record := ring.find(key)) is not None
    assert record.name == "camera"
    assert not KeyRing(KeyLog(store, api_keys_prefix("prod")), metrics=Metrics()).refresh()
    with pytest.raises(StoreRefused):
        store.create("api_keys/test/00000009.json", b"x")


def test_the_certifier_labels_recorded_photos_and_nobody_else_does(
    park: Park, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("petpark.commands.registry.past.utc_now", lambda: NOW)
    bucket = park.target.outputs.data_lake
    record(S3Store(emulator.client("s3"), bucket), photos=9)
    times = ("--from", MONDAY.isoformat(), "--to", NEXT_MONDAY.isoformat())
    assert park.run("labels", "sample", *times, "--count", "4")["recorded"] == 6
    sample = samples.read(park.target, "test", None)
    by = park.target.identity(role=Role.CERTIFIER)
    labelling = Labelling(samples.lake(park.target), sample, by=by)
    for number, photo in enumerate(sample.photos, start=1):
        assert labelling.picture(number).startswith(b"\xff\xd8")
        labelling.say(number, Answer.CLASS, sample.strata[photo.stratum].label, seen=None)
    (week,) = park.run("labels", "report")["accuracy"]
    once = sum(not photo.twice for photo in sample.photos)
    assert (week["accuracy"], week["labelled"]) == (1, once)
    assert park.run("labels", "export", "--out", str(tmp_path / "out"))["candidates"] == once
    key = f"labels/v1/test/{sample.id}/people/{labelling.person}/00000001.json"
    for role in set(Role) - {Role.CERTIFIER}:
        with pytest.raises(StoreRefused):
            park.target.store(bucket, role=role).create(f"{key}x", b"x")
    with pytest.raises(ClientError, match="AccessDenied"):  # not even the certifier overwrites one
        park.target.client("s3", role=Role.CERTIFIER).put_object(Bucket=bucket, Key=key, Body=b"x")
    with pytest.raises(StoreRefused):
        samples.lake(park.target).get(f"photos/sha256/{DATASET.photos[0].sha256}")
