"""Who is refused: identity policies, trust policies, key policies and what S3 asks for in silence."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from rehearsal.emulator import Emulator
from tests.rehearsal.emulator.conftest import (
    ACCOUNT,
    TRUST_ACCOUNT,
    TRUST_EC2,
    Assume,
    allow,
    deny,
    document,
    refusal,
    session_client,
    trust,
)

Client = Callable[[str], Any]


def test_a_role_may_do_what_its_policy_allows_and_nothing_else(client: Client, assume: Assume, bucket: str) -> None:
    client("s3").put_object(Bucket=bucket, Key="photos/a", Body=b"a")
    client("s3").put_object(Bucket=bucket, Key="secrets/a", Body=b"a")
    role = assume(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/photos/*"))
    s3 = role("s3")
    assert s3.get_object(Bucket=bucket, Key="photos/a")["Body"].read() == b"a"
    assert refusal(s3.get_object, Bucket=bucket, Key="secrets/a") == "AccessDenied"
    assert refusal(s3.put_object, Bucket=bucket, Key="photos/b") == "AccessDenied"
    assert refusal(s3.delete_object, Bucket=bucket, Key="photos/a") == "AccessDenied"
    assert refusal(role("ec2").describe_instances) == "UnauthorizedOperation"


def test_an_explicit_denial_outweighs_what_is_allowed(assume: Assume, bucket: str) -> None:
    everything = f"arn:aws:s3:::{bucket}/*"
    s3 = assume(allow("s3:*", everything), deny("s3:PutObject", f"arn:aws:s3:::{bucket}/kept/*"))("s3")
    s3.put_object(Bucket=bucket, Key="other", Body=b"")
    assert refusal(s3.put_object, Bucket=bucket, Key="kept/a") == "AccessDenied"


def test_a_policy_attached_to_the_role_counts(client: Client, assume: Assume, name: str) -> None:
    role = assume()
    assert refusal(role("ec2").describe_instances) == "UnauthorizedOperation"
    own = client("iam").create_policy(PolicyName=name, PolicyDocument=document(allow("ec2:DescribeInstances")))
    client("iam").attach_role_policy(RoleName=name, PolicyArn=own["Policy"]["Arn"])
    assert refusal(role("ec2").describe_instances) == ""


def test_a_policy_managed_by_aws_counts(client: Client, assume: Assume, name: str) -> None:
    role = assume()
    client("ssm").put_parameter(Name=name, Value="v", Type="String")
    assert refusal(role("ssm").get_parameter, Name=name) == "AccessDeniedException"
    managed = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    client("iam").attach_role_policy(RoleName=name, PolicyArn=managed)
    assert refusal(role("ssm").get_parameter, Name=name) == ""


def test_a_users_key_has_the_users_policies(client: Client, emulator: Emulator, name: str, bucket: str) -> None:
    client("iam").create_user(UserName=name)
    key = client("iam").create_access_key(UserName=name)["AccessKey"]
    s3 = session_client(emulator, "s3", key)
    assert refusal(s3.list_objects_v2, Bucket=bucket) == "AccessDenied"
    policy = document(allow("s3:ListBucket", f"arn:aws:s3:::{bucket}"))
    client("iam").put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
    assert refusal(s3.list_objects_v2, Bucket=bucket) == ""


def test_a_key_that_nobody_has_is_refused(emulator: Emulator) -> None:
    stranger = session_client(emulator, "s3", {"AccessKeyId": "AKIAABCDEFGHIJKLMNOP", "SecretAccessKey": "x"})
    # S3's own code is the first: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    assert refusal(stranger.list_buckets) in {"InvalidAccessKeyId", "InvalidClientTokenId"}


def test_every_role_may_ask_who_it_is(assume: Assume, name: str) -> None:
    identity = assume()("sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/tester"


def test_a_listing_can_be_allowed_for_a_prefix_only(assume: Assume, bucket: str) -> None:
    condition = {"StringLike": {"s3:prefix": ["photos/*", "photos"]}}
    s3 = assume(allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Condition=condition))("s3")
    assert refusal(s3.list_objects_v2, Bucket=bucket, Prefix="photos/2026") == ""
    assert refusal(s3.list_objects_v2, Bucket=bucket, Prefix="secrets/") == "AccessDenied"
    assert refusal(s3.list_objects_v2, Bucket=bucket) == "AccessDenied"


def test_metrics_can_be_allowed_for_a_namespace_only(assume: Assume) -> None:
    condition = {"StringEquals": {"cloudwatch:namespace": "petpark"}}
    cloudwatch = assume(allow("cloudwatch:PutMetricData", Condition=condition))("cloudwatch")
    data = [{"MetricName": "requests", "Value": 1.0}]
    assert refusal(cloudwatch.put_metric_data, Namespace="petpark", MetricData=data) == ""
    assert refusal(cloudwatch.put_metric_data, Namespace="other", MetricData=data) == "AccessDenied"


def test_a_log_group_can_be_allowed_alone(client: Client, assume: Assume, name: str) -> None:
    for group in (name, f"{name}-other"):
        client("logs").create_log_group(logGroupName=group)
    logs = assume(
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:{name}:*")
    )("logs")
    logs.create_log_stream(logGroupName=name, logStreamName="s")
    events = [{"timestamp": int(time.time() * 1000), "message": "m"}]
    logs.put_log_events(logGroupName=name, logStreamName="s", logEvents=events)
    assert refusal(logs.create_log_stream, logGroupName=f"{name}-other", logStreamName="s") == "AccessDeniedException"


def test_an_instance_can_be_allowed_by_its_tag_only(client: Client, assume: Assume, name: str) -> None:
    condition = {"StringEquals": {"ec2:ResourceTag/petpark:job": name}}
    ec2 = assume(allow("ec2:TerminateInstances", Condition=condition))("ec2")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "petpark:job", "Value": name}]}]
    run = client("ec2").run_instances
    mine = run(ImageId="ami-1", MinCount=1, MaxCount=1, TagSpecifications=tags)["Instances"][0]["InstanceId"]
    other = run(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    assert refusal(ec2.terminate_instances, InstanceIds=[mine, other]) == "UnauthorizedOperation"
    assert refusal(ec2.terminate_instances, InstanceIds=[mine]) == ""


# --- roles ---------------------------------------------------------------------------------------------------------


def test_a_service_is_given_only_the_roles_that_the_policy_allows(assume: Assume, name: str) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    given = {**allow("iam:PassRole", f"{arn}-*"), "Condition": {"StringEquals": {"iam:PassedToService": _GIVEN}}}
    role = assume(allow("states:CreateStateMachine"), allow("scheduler:CreateSchedule"), allow("events:*"), given)
    passes = '{"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": true}}}'
    target = {"Arn": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:{name}"}
    role("events").put_rule(Name=name, ScheduleExpression="rate(1 day)")
    for suffix, expected in (("-a", ""), ("", "AccessDeniedException")):
        make = role("stepfunctions").create_state_machine
        assert refusal(make, name=f"{name}{suffix}", definition=passes, roleArn=f"{arn}{suffix}") == expected
        put = role("events").put_targets
        assert refusal(put, Rule=name, Targets=[{"Id": "1", **target, "RoleArn": f"{arn}{suffix}"}]) == expected
        schedule = role("scheduler").create_schedule
        daily = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"}}
        whom = {**target, "RoleArn": f"{arn}-a"}
        assert refusal(schedule, Name=name, Target=whom, **daily) == "AccessDeniedException", "for no other service"


_GIVEN = ["events.amazonaws.com", "states.amazonaws.com"]


def test_a_role_is_taken_only_by_whom_it_trusts(client: Client, assume: Assume, name: str) -> None:
    sts, iam = assume(allow("sts:AssumeRole"))("sts"), client("iam")
    arn = iam.create_role(RoleName=f"{name}-other", AssumeRolePolicyDocument=TRUST_ACCOUNT)["Role"]["Arn"]
    assert refusal(sts.assume_role, RoleArn=arn, RoleSessionName="tester") == ""
    iam.update_assume_role_policy(RoleName=f"{name}-other", PolicyDocument=TRUST_EC2)
    assert refusal(sts.assume_role, RoleArn=arn, RoleSessionName="tester") == "AccessDenied"


def test_an_instances_session_takes_only_a_role_that_trusts_ec2(client: Client, name: str) -> None:
    sts, iam = client("sts"), client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_EC2)["Role"]["Arn"]
    assert refusal(sts.assume_role, RoleArn=arn, RoleSessionName="i-0123456789abcdef0") == ""
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust(Service="ecs-tasks.amazonaws.com"))
    assert refusal(sts.assume_role, RoleArn=arn, RoleSessionName="i-0123456789abcdef0") == "AccessDenied"


def test_a_role_that_trusts_the_account_still_needs_the_callers_own_policy(
    client: Client, assume: Assume, name: str
) -> None:
    iam = client("iam")
    other = iam.create_role(RoleName=f"{name}-other", AssumeRolePolicyDocument=TRUST_ACCOUNT)["Role"]["Arn"]
    sts = assume()("sts")
    assert refusal(sts.assume_role, RoleArn=other, RoleSessionName="tester") == "AccessDenied"
    policy = document(allow("sts:AssumeRole", other))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
    assert refusal(sts.assume_role, RoleArn=other, RoleSessionName="tester") == ""


def test_a_role_that_names_the_caller_needs_nothing_more(client: Client, assume: Assume, name: str) -> None:
    sts = assume()("sts")
    trusting = trust(AWS=f"arn:aws:iam::{ACCOUNT}:role/{name}")
    other = client("iam").create_role(RoleName=f"{name}-other", AssumeRolePolicyDocument=trusting)["Role"]["Arn"]
    assert refusal(sts.assume_role, RoleArn=other, RoleSessionName="tester") == ""


ROOT_OF_ACCOUNT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}


def trust_when(**condition: dict[str, str]) -> str:
    """A trust policy of the account, on a condition."""
    return document(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": ROOT_OF_ACCOUNT, "Condition": condition}
    )


def test_a_role_can_ask_users_for_their_own_name(client: Client, emulator: Emulator, name: str) -> None:
    iam = client("iam")
    trusting = trust_when(StringEquals={"sts:RoleSessionName": "${aws:username}"})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting)["Role"]["Arn"]
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(allow("sts:AssumeRole", role)))
    user = session_client(emulator, "sts", iam.create_access_key(UserName=name)["AccessKey"])
    assert refusal(user.assume_role, RoleArn=role, RoleSessionName=name) == ""
    assert refusal(user.assume_role, RoleArn=role, RoleSessionName="root") == "AccessDenied"


def test_the_administrators_own_name_is_root(client: Client, name: str) -> None:
    """Petpark's own rule, for a rehearsal: AWS's root user takes no roles at all."""
    iam, sts = client("iam"), client("sts")
    trusting = trust_when(StringEquals={"sts:RoleSessionName": "${aws:username}"})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting)["Role"]["Arn"]
    assert refusal(sts.assume_role, RoleArn=role, RoleSessionName="root") == ""
    assert refusal(sts.assume_role, RoleArn=role, RoleSessionName=name) == "AccessDenied"


def test_a_role_can_ask_sessions_to_keep_their_name(client: Client, assume: Assume, name: str) -> None:
    condition: Any = {"Null": {"aws:username": "true"}, "StringLike": {"aws:userid": "*:${sts:RoleSessionName}"}}
    iam = client("iam")
    other = iam.create_role(RoleName=f"{name}-other", AssumeRolePolicyDocument=trust_when(**condition))["Role"]["Arn"]
    sts = assume(allow("sts:AssumeRole", other))("sts")
    assert refusal(sts.assume_role, RoleArn=other, RoleSessionName="tester") == ""
    assert refusal(sts.assume_role, RoleArn=other, RoleSessionName="somebody") == "AccessDenied"


def test_a_bucket_knows_a_session_by_the_roles_id_and_its_name(
    client: Client, assume: Assume, bucket: str, name: str
) -> None:
    role = assume(allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*"))
    identity = client("iam").get_role(RoleName=name)["Role"]["RoleId"]
    s3 = role("s3")
    for allowed, code in ((f"{identity}:tester", ""), (f"{identity}:other", "AccessDenied")):
        refuse = deny(
            "s3:PutObject",
            f"arn:aws:s3:::{bucket}/*",
            Principal="*",
            Condition={"StringNotEquals": {"aws:userid": allowed}},
        )
        client("s3").put_bucket_policy(Bucket=bucket, Policy=document(refuse))
        assert refusal(s3.put_object, Bucket=bucket, Key="a") == code


def test_how_a_bucket_is_set_up_is_read_with_permissions_of_other_names(assume: Assume, bucket: str) -> None:
    asked = {
        "get_bucket_encryption": "s3:GetEncryptionConfiguration",
        "get_bucket_versioning": "s3:GetBucketVersioning",
        "get_bucket_logging": "s3:GetBucketLogging",
        "get_bucket_policy": "s3:GetBucketPolicy",
        "get_public_access_block": "s3:GetBucketPublicAccessBlock",
        "get_object_lock_configuration": "s3:GetBucketObjectLockConfiguration",
    }
    able = assume(allow(list(asked.values()), f"arn:aws:s3:::{bucket}"))("s3")
    assert not [call for call in asked if refusal(getattr(able, call), Bucket=bucket) == "AccessDenied"]
    assert refusal(able.get_bucket_tagging, Bucket=bucket) == "AccessDenied"


# --- keys ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def signing_key(client: Client, name: str) -> str:
    """A key with which only the role of the test's name signs."""
    everyone = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    certifier = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    policy = document(
        allow("kms:*", Principal=everyone),
        deny("kms:Sign", Principal="*", Condition={"ArnNotEquals": {"aws:PrincipalArn": certifier}}),
    )
    made = client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Policy=policy)
    key: str = made["KeyMetadata"]["KeyId"]
    return key


def signing(key: str) -> dict[str, Any]:
    return {"KeyId": key, "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}


def test_only_the_certifier_signs(assume: Assume, signing_key: str) -> None:
    certifier, other = (assume(allow("kms:Sign"), suffix=suffix)("kms") for suffix in ("", "-other"))
    assert refusal(certifier.sign, **signing(signing_key)) == ""
    assert refusal(other.sign, **signing(signing_key)) == "AccessDeniedException"


def test_not_even_the_administrator_signs(client: Client, signing_key: str) -> None:
    assert refusal(client("kms").sign, **signing(signing_key)) == "AccessDeniedException"
    assert refusal(client("kms").describe_key, KeyId=signing_key) == ""


def test_a_key_can_be_allowed_alone(client: Client, assume: Assume) -> None:
    kms = client("kms")
    mine, other = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    role = assume(allow("kms:Encrypt", mine))("kms")
    assert refusal(role.encrypt, KeyId=mine, Plaintext=b"p") == ""
    assert refusal(role.encrypt, KeyId=other, Plaintext=b"p") == "AccessDeniedException"


@pytest.fixture
def encrypted(client: Client, bucket: str) -> tuple[str, str]:
    """A bucket with the object `a`, and the key that encrypts both."""
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    client("s3").put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    client("s3").put_object(Bucket=bucket, Key="a", Body=b"a")
    return bucket, key


def test_reading_an_encrypted_object_takes_the_key_too(
    client: Client, assume: Assume, encrypted: tuple[str, str], name: str
) -> None:
    bucket, key = encrypted
    read = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")
    s3 = assume(read)("s3")
    assert refusal(s3.get_object, Bucket=bucket, Key="a") == "AccessDenied"
    through_s3 = allow("kms:Decrypt", key, Condition={"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}})
    client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(read, through_s3))
    assert refusal(s3.get_object, Bucket=bucket, Key="a") == ""


def test_writing_an_encrypted_object_takes_the_key_too(
    client: Client, assume: Assume, encrypted: tuple[str, str], name: str
) -> None:
    bucket, key = encrypted
    write = allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*")
    s3 = assume(write)("s3")
    assert refusal(s3.put_object, Bucket=bucket, Key="b") == "AccessDenied"
    use = allow("kms:GenerateDataKey", key)
    client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(write, use))
    assert refusal(s3.put_object, Bucket=bucket, Key="b") == ""


def test_a_missing_object_is_denied_to_those_who_may_not_list(
    client: Client, assume: Assume, bucket: str, name: str
) -> None:
    read = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")
    s3 = assume(read)("s3")
    assert refusal(s3.get_object, Bucket=bucket, Key="none") == "AccessDenied"
    listing = allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(read, listing))
    assert refusal(s3.get_object, Bucket=bucket, Key="none") == "NoSuchKey"
