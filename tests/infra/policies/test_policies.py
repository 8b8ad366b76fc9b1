import itertools
import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import policies
from infra.policies.pipelines import answers
from infra.policies.statements import read_metrics
from registry.layout.data_lake import (
    EVENT_PICTURES,
    EVENTS,
    event_key,
    event_picture_key,
    label_key,
    manifest_key,
    photo_key,
    sample_key,
)
from registry.layout.jobs import boot_log_key, checkpoint_key, epoch_key, job_result_key, job_spec_key
from registry.layout.model_store import (
    blob_key,
    certificate_key,
    channel_entry_key,
    repair_key,
    version_key,
)
from registry.layout.roles import Role
from registry.layout.workspace import code_key, study_key, study_weights_key, table_key, trial_key
from registry.telemetry import HourPartition, stack_prefix
from tests.infra.policies.roles import LOG, NAME, PLACES, all_documents, allows, in_store, machines
from tests.policy_evaluator import policy

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
NUMBER = st.integers(1, 9_999_999)
KEYS = st.one_of(
    HEX.map(lambda sha256: blob_key("pets", sha256)),
    NUMBER.map(lambda number: version_key("pets", number)),
    st.tuples(NUMBER, NUMBER).map(lambda both: certificate_key("pets", *both)),
    st.tuples(NAME, NUMBER).map(lambda both: channel_entry_key("pets", *both)),
    NUMBER.map(lambda number: repair_key("pets", number)),
)
WRITES = (
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutBucketPolicy",
    "s3:BypassGovernanceRetention",
)


@given(KEYS)
def test_every_key_of_the_registry_has_exactly_one_role_that_creates_it(key):
    writers = [role for role in Role if allows(policies.operator(role, PLACES), "s3:PutObject", in_store(key))]
    assert len(writers) == 1


@pytest.mark.parametrize(
    "key",
    [
        "pets/versions/99999999.json",
        "pets/versions/notes.txt",
        "pets/channels/prod/99999999.json",
        "pets/channels/prod/00000007.json/x",
        "pets/certificates/00000001/99999999.json",
        "pets/certificates/x",
        "pets/repairs/99999999.json",
        "pets/blobs/x",
        "pets/notes.txt",
    ],
)
def test_nobody_writes_under_a_name_behind_which_no_log_could_go_on(key):
    documents = [policies.training(PLACES, LOG), *(policies.operator(role, PLACES) for role in Role)]
    assert not any(allows(document, "s3:PutObject", in_store(key)) for document in documents)


def test_a_training_instance_decides_nothing():
    """It publishes, and may write nothing at all by which a channel, a decision or a repair is made."""
    for key in ("channels/test/00000001.json", "certificates/00000001/00000001.json", "repairs/00000001.json"):
        assert not allows(policies.training(PLACES, LOG), "s3:PutObject", in_store(f"pets/{key}"))


@given(KEYS, st.sampled_from(list(Role)), st.sampled_from(list(Role)), st.sampled_from(WRITES))
def test_no_role_can_do_anothers_write(key, one, other, action):
    if one is not other:
        able = [allows(policies.operator(role, PLACES), action, in_store(key)) for role in (one, other)]
        assert not all(able)


@given(KEYS)
def test_everybody_reads_and_only_the_collector_deletes_and_only_blobs(key):
    for role in Role:
        document = policies.operator(role, PLACES)
        assert allows(document, "s3:GetObject", in_store(key))
        deletes = role is Role.COLLECTOR and "/blobs/" in key
        assert allows(document, "s3:DeleteObject", in_store(key)) is deletes


@given(NAME, KEYS)
def test_a_role_of_one_model_writes_nothing_of_another(model, key):
    foreign = key.replace("pets/", f"{model}s/", 1)
    if not foreign.startswith("pets/"):
        for role in Role:
            assert not allows(policies.operator(role, PLACES), "s3:PutObject", in_store(foreign))


def test_every_operator_sees_all_revisions_and_only_the_reader_how_the_store_is_set_up():
    settings = ("Logging", "ObjectLockConfiguration", "Policy", "PublicAccessBlock", "Versioning")
    examined = [*(f"s3:GetBucket{setting}" for setting in settings), "s3:GetEncryptionConfiguration"]
    for role in Role:
        document = policies.operator(role, PLACES)
        assert allows(document, "s3:ListBucketVersions", "arn:aws:s3:::store")
        for action in examined:
            assert allows(document, action, "arn:aws:s3:::store") is (role is Role.READER)
            assert not allows(document, action, "arn:aws:s3:::lake")


def test_no_role_gets_around_object_lock_or_deletes_for_good():
    granted = {action for document in all_documents() for s in document["Statement"] for action in s["Action"]}
    assert not granted & {"s3:BypassGovernanceRetention", "s3:PutObjectRetention", "s3:DeleteObjectVersion"}


def test_following_a_channel_needs_listing_or_an_absent_object_would_be_a_403():
    for document in all_documents():
        assert allows(document, "s3:ListBucket", "arn:aws:s3:::store")


def test_an_endpoint_decrypts_what_the_store_gives_and_encrypts_nothing():
    """S3 asks for `kms:GenerateDataKey` when an object is written, for `kms:Decrypt` when one is read.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    """
    statements = policies.endpoint(PLACES, LOG, "test")["Statement"]
    assert {a for s in statements if PLACES.encryption_key in s["Resource"] for a in s["Action"]} == {"kms:Decrypt"}
    assert {a for s in statements if PLACES.signing_key in s["Resource"] for a in s["Action"]} == {
        "kms:GetPublicKey",
        "kms:Verify",
    }


def test_only_the_certifier_signs():
    signers = [role for role in Role if allows(policies.operator(role, PLACES), "kms:Sign", PLACES.signing_key)]
    assert signers == [Role.CERTIFIER]
    assert not any(allows(document, "kms:Sign", PLACES.signing_key) for document in machines())


@given(KEYS)
def test_a_training_instance_publishes_but_neither_certifies_nor_promotes(key):
    written = allows(policies.training(PLACES, LOG), "s3:PutObject", in_store(key))
    assert written == ("/blobs/" in key or "/versions/" in key)


@given(NAME)
def test_a_training_instance_keeps_the_records_of_jobs_and_cannot_change_code(job):
    document = policies.training(PLACES, LOG)
    assert allows(document, "s3:PutObject", f"arn:aws:s3:::work/{checkpoint_key(job, 1)}")
    assert allows(document, "s3:PutObject", f"arn:aws:s3:::work/{boot_log_key(job, 'i-1')}")
    assert allows(document, "s3:GetObject", f"arn:aws:s3:::work/{code_key('test', 'f' * 64)}")
    assert not allows(document, "s3:PutObject", f"arn:aws:s3:::work/{code_key(job, 'f' * 64)}")
    assert not allows(document, "s3:PutObject", f"arn:aws:s3:::lake/{photo_key('f' * 64)}")


@given(NAME, NUMBER)
def test_studies_are_written_by_the_publisher_alone_and_by_no_machine(study, number):
    keys = [
        study_key(study),
        study_weights_key(study),
        trial_key(study, number),
        table_key(study),
    ]
    for key in keys:
        resource = f"arn:aws:s3:::work/{key}"
        writers = [role for role in Role if allows(policies.operator(role, PLACES), "s3:PutObject", resource)]
        assert writers == [Role.PUBLISHER]
        assert not any(allows(document, "s3:PutObject", resource) for document in machines())
        assert not any(allows(document, "s3:DeleteObject", resource) for document in all_documents())
        assert allows(policies.training(PLACES, LOG), "s3:GetObject", resource), "trials read their initial weights"


@given(NAME, NAME, NUMBER, st.datetimes(timezones=st.just(UTC)))
def test_labels_are_added_by_the_certifier_alone_who_reads_what_is_labelled_and_no_photo(stack, name, number, at):
    certifier = policies.operator(Role.CERTIFIER, PLACES)
    for key in (sample_key(stack, name), label_key(stack, name, "ana@park.example", number)):
        arn = f"arn:aws:s3:::lake/{key}"
        writers = [role for role in Role if allows(policies.operator(role, PLACES), "s3:PutObject", arn)]
        assert writers == [Role.CERTIFIER]
        assert _takes(certifier, arn, {"s3:if-none-match": "*"})
        assert not _takes(certifier, arn, {})
        readers = {role for role in Role if allows(policies.operator(role, PLACES), "s3:GetObject", arn)}
        assert readers == {Role.CERTIFIER, Role.PUBLISHER}
        assert not any(allows(document, "s3:DeleteObject", arn) for document in all_documents())
        assert not any(allows(document, "s3:PutObject", arn) for document in machines())
    recorded = HourPartition.of(stack, name, at).key("instance", number)
    assert allows(certifier, "s3:GetObject", f"arn:aws:s3:::lake/{recorded}")
    assert not allows(certifier, "s3:PutObject", f"arn:aws:s3:::lake/{recorded}")
    for private in (photo_key("f" * 64), event_picture_key(name, "2030-01-02", "f")):
        assert not allows(certifier, "s3:GetObject", f"arn:aws:s3:::lake/{private}")


@given(NAME, NUMBER, KEYS)
def test_a_training_instance_deletes_old_checkpoints_and_no_record_of_anything(job, number, key):
    def deletes(resource: str) -> bool:
        return allows(policies.training(PLACES, LOG), "s3:DeleteObject", f"arn:aws:s3:::{resource}")

    assert deletes(f"work/{checkpoint_key(job, number)}")
    records = [job_spec_key(job), job_result_key(job), epoch_key(job, number)]
    code = code_key("test", "f" * 64)
    assert not any(deletes(f"work/{kept}") for kept in (*records, code))
    assert not deletes(f"store/{key}")
    assert not deletes(f"lake/{photo_key('f' * 64)}")
    assert not deletes(f"lake/{manifest_key('f' * 64)}")


@given(st.sampled_from(["store", "lake", "work"]), st.text(max_size=30))
def test_an_endpoint_writes_nothing_but_what_cameras_beside_it_saw(bucket, key):
    document = policies.endpoint(PLACES, LOG, "prod")
    events = bucket == "lake" and key.startswith((EVENTS, EVENT_PICTURES, stack_prefix("prod")))
    assert events or not any(allows(document, action, f"arn:aws:s3:::{bucket}/{key}") for action in WRITES)


@given(NAME, HEX)
def test_an_endpoint_adds_events_and_neither_reads_overwrites_nor_deletes_one(camera, event):
    document = policies.endpoint(PLACES, LOG, "prod")
    for key in (event_key(camera, "2030-01-02", event), event_picture_key(camera, "2030-01-02", event)):
        event_arn = f"arn:aws:s3:::lake/{key}"
        assert _takes(document, event_arn, {"s3:if-none-match": "*"})
        assert not _takes(document, event_arn, {})
        assert not allows(document, "s3:GetObject", event_arn)
        assert not allows(document, "s3:DeleteObject", event_arn)


@given(NAME, st.datetimes(timezones=st.just(UTC)), st.integers(1, 10**8 - 1))
def test_an_endpoint_adds_recorded_predictions_of_its_own_stack_and_reads_none(camera, at, sequence):
    document = policies.endpoint(PLACES, LOG, "prod")
    key, other = (HourPartition.of(stack, camera, at).key("instance", sequence) for stack in ("prod", "prod2"))
    assert _takes(document, f"arn:aws:s3:::lake/{key}", {"s3:if-none-match": "*"})
    assert not _takes(document, f"arn:aws:s3:::lake/{key}", {})
    assert not _takes(document, f"arn:aws:s3:::lake/{other}", {"s3:if-none-match": "*"})
    for action in ("s3:GetObject", "s3:DeleteObject"):
        assert not allows(document, action, f"arn:aws:s3:::lake/{key}")


def _takes(document: dict[str, Any], resource: str, context: dict[str, str]) -> bool:
    asked = policy.Request(action="s3:PutObject", resource=resource, context=context)
    return (
        policy.evaluate(json.dumps(document), asked, policy.Principal(account="1", arns=frozenset()))
        is policy.Decision.ALLOWED
    )


def test_an_endpoint_verifies_certificates_and_reads_its_code():
    document = policies.endpoint(PLACES, LOG, "prod")
    assert allows(document, "kms:Verify", PLACES.signing_key)
    assert allows(document, "kms:GetPublicKey", PLACES.signing_key)
    assert allows(document, "s3:GetObject", f"arn:aws:s3:::work/{code_key('prod', 'f' * 64)}")
    assert not allows(document, "s3:GetObject", f"arn:aws:s3:::work/{job_spec_key('job')}")
    assert not allows(document, "s3:GetObject", f"arn:aws:s3:::lake/{photo_key('f' * 64)}")


def test_a_machine_writes_its_own_log_only():
    for document in machines():
        assert allows(document, "logs:PutLogEvents", f"{LOG}:log-stream:one")
        assert not allows(document, "logs:PutLogEvents", f"{LOG}2:log-stream:one")


SOURCES = ("park-cameras", "archive/2026", "archive/old.tar")


@given(st.text(max_size=20))
def test_the_publisher_reads_photos_where_the_stack_says_and_nowhere_beside(rest):
    document = policies.operator(Role.PUBLISHER, PLACES, SOURCES)

    def reads(place: str) -> bool:
        bucket, _, key = place.partition("/")
        read = allows(document, "s3:GetObject", f"arn:aws:s3:::{place}")
        assert read == allows(document, "s3:ListBucket", f"arn:aws:s3:::{bucket}", key)
        return read

    assert all(map(reads, (f"park-cameras/{rest}", f"archive/2026/{rest}", "archive/2026", "archive/old.tar")))
    beside = ("park-cameras-2/a", f"archive/2026-{rest}", f"archive/old.tar.{rest}", "archive/", f"other/2026/{rest}")
    assert not any(map(reads, beside))
    for source in (f"park-cameras/{rest}", f"archive/2026/{rest}"):
        assert not any(allows(document, action, f"arn:aws:s3:::{source}") for action in WRITES)


def test_nobody_else_reads_photos_where_they_come_from():
    for role in set(Role) - {Role.PUBLISHER}:
        assert policies.operator(role, PLACES, SOURCES) == policies.operator(role, PLACES)
    assert not any(allows(document, "s3:GetObject", "arn:aws:s3:::park-cameras/a") for document in machines())


def test_nobody_may_do_everything():
    for document in all_documents():
        actions = list(itertools.chain.from_iterable(statement["Action"] for statement in document["Statement"]))
        assert not [action for action in actions if "*" in action]
        wide = [statement for statement in document["Statement"] if "*" in statement["Resource"]]
        assert [statement for statement in wide if statement not in (answers(), read_metrics())] == [], (
            "neither can be limited"
        )
