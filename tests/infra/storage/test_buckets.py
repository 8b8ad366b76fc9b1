"""Rules of the platform's buckets: encryption, access log, lifecycle, Object Lock, movers."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from registry.layout.model_store import blob_key, certificate_key, channel_entry_key, repair_key, version_key
from registry.telemetry import COLUMNS, PARTITIONS, HourPartition

NUMBERS = st.integers(1, 9_999_999)


def test_the_store_encrypts_with_a_key_of_its_own_and_signs_with_another(deployments):
    keys = {r.name: r.inputs for r in deployments["test"].resources if r.type.endswith("kms/key:Key")}
    assert keys["models-signing"]["customerMasterKeySpec"] == "ECC_NIST_P256"
    assert keys["models-signing"]["keyUsage"] == "SIGN_VERIFY"
    assert keys["models-encryption"]["enableKeyRotation"] is True
    rule = deployments["test"].named("models-store-encryption").inputs["rules"][0]
    assert rule["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"].endswith("models-encryption")


def test_access_to_the_store_is_recorded_in_a_bucket_that_s3_can_write_to_and_kept_as_long_as_logs(deployments):
    test = deployments["test"]
    recording = test.named("models-access-recording").inputs
    assert recording["bucket"] == "models-store-bucket-0a1b2c3"
    assert recording["targetBucket"] == "models-access-log-bucket-0a1b2c3"
    (delivery,) = (s for s in json.loads(test.named("models-access-policy").inputs["policy"])["Statement"][1:])
    assert delivery["Resource"] == [f"arn:aws:s3:::{recording['targetBucket']}/{recording['targetPrefix']}*"]
    assert delivery["Condition"]["ArnLike"] == {"aws:SourceArn": f"arn:aws:s3:::{recording['bucket']}"}
    rule = test.named("models-access-log-encryption").inputs["rules"][0]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}
    rules = {rule["id"]: rule for rule in test.named("models-access-log-lifecycle").inputs["rules"]}
    assert rules["forget"]["expiration"] == {"days": 30}
    assert rules["forget-replaced"]["noncurrentVersionExpiration"] == {"noncurrentDays": 1}


KEYS_OF_RECORDS = st.one_of(
    NUMBERS.map(lambda number: version_key("pets", number)),
    st.tuples(NUMBERS, NUMBERS).map(lambda both: certificate_key("pets", *both)),
    st.tuples(st.sampled_from(["test", "prod"]), NUMBERS).map(lambda both: channel_entry_key("pets", *both)),
    NUMBERS.map(lambda number: repair_key("pets", number)),
)


@given(key=KEYS_OF_RECORDS, sha256=st.text("0123456789abcdef", min_size=64, max_size=64))
def test_the_store_forgets_deleted_blobs_after_a_month_and_no_revision_of_a_record(deployments, key, sha256):
    rules = deployments["test"].named("models-store-lifecycle").inputs["rules"]
    forgetting = [rule for rule in rules if {"expiration", "noncurrentVersionExpiration"} & set(rule)]
    assert not [rule["id"] for rule in forgetting if key.startswith(rule["filter"]["prefix"])]
    (blobs,) = (rule for rule in forgetting if blob_key("pets", sha256).startswith(rule["filter"]["prefix"]))
    assert "expiration" not in blobs
    assert blobs["noncurrentVersionExpiration"] == {"noncurrentDays": 30}


def test_the_pictures_of_events_are_forgotten_after_a_month_and_the_events_are_not(deployments):
    rules = {rule["id"]: rule for rule in deployments["test"].named("data-lake-lifecycle").inputs["rules"]}
    rule = rules["forget-event-pictures"]
    assert rule["filter"] == {"prefix": "event-pictures/"}
    assert rule["expiration"] == {"days": 30}
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 1}
    assert {name for name, other in rules.items() if "expiration" in other} == {rule["id"], "forget-telemetry"}


def test_recorded_predictions_are_forgotten_when_the_settings_say_and_nothing_else_with_them(deployments):
    rules = {rule["id"]: rule for rule in deployments["test"].named("data-lake-lifecycle").inputs["rules"]}
    rule = rules["forget-telemetry"]
    assert rule["filter"] == {"prefix": "telemetry/"}
    assert rule["expiration"] == {"days": 90}
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 1}


def test_athenas_table_has_the_recorded_columns_and_projects_the_prefixes_under_which_they_are_stored(deployments):
    table = deployments["test"].named("telemetry-table").inputs
    assert [column["name"] for column in table["storageDescriptor"]["columns"]] == [each.name for each in COLUMNS]
    assert [key["name"] for key in table["partitionKeys"]] == [each.name for each in PARTITIONS]
    assert all(len(each.meaning.encode()) <= 255 for each in (*COLUMNS, *PARTITIONS))
    parameters = table["parameters"]
    partition = HourPartition.of("test", "gate", datetime(2026, 8, 1, 9, 30, tzinfo=UTC))
    projected = parameters["storage.location.template"].partition("://")[2].partition("/")[2]
    values = {
        "stack": "test",
        "camera": "gate",
        "date": "2026-08-01",
        "hour": f"{9:0{parameters['projection.hour.digits']}}",
    }
    for name, value in values.items():
        projected = projected.replace(f"${{{name}}}", value)
    assert projected == partition.prefix
    assert parameters["projection.date.range"] == "NOW-90DAYS,NOW"
    assert "telemetry-table" not in [each.name for each in deployments["prod"].resources]


def test_object_lock_is_there_when_it_is_asked_for_and_no_role_gets_around_it(deployments, redeploy):
    assert not [r for r in deployments["test"].resources if r.type.endswith(":BucketObjectLockConfiguration")]
    locked = redeploy("test", object_lock_days="30")
    lock = locked.named("models-lock").inputs
    assert lock["bucket"] == "models-store-bucket-0a1b2c3"
    assert lock["rule"] == {"defaultRetention": {"mode": "GOVERNANCE", "days": 30}}
    # Only so can it be turned on later: the bucket's own property would replace the bucket.
    assert "objectLockEnabled" not in locked.named("models-store-bucket").inputs
    assert "BypassGovernanceRetention" not in json.dumps([dict(r.inputs) for r in locked.resources], default=str)


def test_the_movers_of_a_channel_reach_the_buckets_policy(redeploy):
    channels = {
        name: {"certificate": False, "two_people": False, "metric": "none", "gates": False, "movers": movers}
        for name, movers in (("test", []), ("prod", ["mia"]))
    }
    changed = redeploy("test", channels=json.dumps(channels), pipeline=json.dumps({"prod_stack": "none"}))
    statements = json.loads(changed.named("models-policy", ":BucketPolicy").inputs["policy"])["Statement"]
    (movers,) = (s for s in statements if s["Sid"].startswith("OnlyMovers"))
    assert movers["Resource"] == [
        "arn:aws:s3:::models-store-bucket-0a1b2c3/pets/channels/prod/*",
        "arn:aws:s3:::models-store-bucket-0a1b2c3/pets/experiments/prod/*",
    ]
    assert movers["Condition"] == {"StringNotEquals": {"aws:userid": ["AROA-operators-promoter:mia"]}}


def test_protected_data_survives_a_destroy(redeploy):
    changed = redeploy("test", protect_data="true")
    guarded = [r for r in changed.resources if r.type.endswith((":Bucket", "kms/key:Key"))]
    assert len(guarded) == 6
    assert all(resource.protect for resource in guarded)
    assert all(not r.inputs["forceDestroy"] for r in guarded if r.type.endswith(":Bucket"))


def test_old_code_stays_for_the_instances_and_versions_that_name_it(everything):
    bundles = [resource for resource in everything if resource.name == "code-bundle"]
    assert len(bundles) == 2
    assert all(bundle.retain for bundle in bundles)
