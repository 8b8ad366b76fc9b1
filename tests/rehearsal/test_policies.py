"""Petpark's own policies where they are enforced: users, the roles that they take, and the model store's bucket."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from infra import policies
from registry.channel_policy import ChannelPolicy
from registry.layout.model_store import blob_key, channel_entry_key
from registry.layout.roles import Role
from rehearsal.emulator import Emulator
from tests.rehearsal.emulator.conftest import ACCOUNT, allow, document, refusal, session_client

pytestmark = pytest.mark.rehearsal

MOVERS = {"prod": ChannelPolicy(movers=("noa", "pia")), "test": ChannelPolicy()}


@dataclass(frozen=True, kw_only=True)
class Registry:
    """A model store that locks for a day, with its roles, and users who may take any of them."""

    emulator: Emulator
    bucket: str
    archive: str
    """A bucket outside of petpark, of which the publisher may read what lies below 2026."""
    roles: Mapping[Role, str]
    users: Mapping[str, Any]

    def take(self, user: str, role: Role, session: str) -> Any:
        """S3 as `user` sees it in `role`, in a session of that name."""
        sts = session_client(self.emulator, "sts", self.users[user])
        taken = sts.assume_role(RoleArn=self.roles[role], RoleSessionName=session)
        return session_client(self.emulator, "s3", taken["Credentials"])

    def act(self, user: str, role: Role) -> Any:
        """The same under the user's own name."""
        return self.take(user, role, user)


@pytest.fixture(scope="module")
def registry(emulator: Emulator) -> Registry:
    mark = uuid.uuid4().hex[:8]
    iam, s3, kms = (emulator.client(service) for service in ("iam", "s3", "kms"))
    roles = {role: make_role(iam, f"{role}-{mark}") for role in Role}
    bucket = f"store-{mark}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": emulator.region})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
    )
    key = kms.create_key()["KeyMetadata"]["Arn"]
    promoter = iam.get_role(RoleName=f"{Role.PROMOTER}-{mark}")["Role"]["RoleId"]
    policy = policies.write_once_bucket(bucket, key, roles[Role.COLLECTOR], promoter, "pets", MOVERS)
    s3.put_bucket_policy(Bucket=bucket, Policy=policies.as_json(policy))
    places = policies.ResourceNames(
        model="pets",
        model_store=bucket,
        data_lake="lake",
        workspace="work",
        encryption_key=key,
        signing_key=key,
    )
    for role in Role:
        granted = policies.as_json(policies.operator(role, places, [f"archive-{mark}/2026"]))
        iam.put_role_policy(RoleName=f"{role}-{mark}", PolicyName="p", PolicyDocument=granted)
    users = {name: make_user(iam, name, roles) for name in ("noa", "otto", "pia")}
    archive = f"archive-{mark}"
    s3.create_bucket(Bucket=archive, CreateBucketConfiguration={"LocationConstraint": emulator.region})
    for key in ("2026/cat/1.jpg", "2026-private/cat/1.jpg"):
        s3.put_object(Bucket=archive, Key=key, Body=b"photo")
    return Registry(emulator=emulator, bucket=bucket, archive=archive, roles=roles, users=users)


def make_role(iam: Any, name: str) -> str:
    trusting = policies.as_json(policies.trust_people(ACCOUNT))
    return iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting)["Role"]["Arn"]


def make_user(iam: Any, name: str, roles: Mapping[Role, str]) -> Any:
    iam.create_user(UserName=name)
    policy = document(allow("sts:AssumeRole", sorted(roles.values())))
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
    return iam.create_access_key(UserName=name)["AccessKey"]


@pytest.fixture
def create(registry: Registry) -> Callable[..., str]:
    """`create(s3, key)` writes as the registry does, and gives the code of a refusal."""

    def create(s3: Any, key: str) -> str:
        return refusal(s3.put_object, Bucket=registry.bucket, Key=key, Body=b"{}", IfNoneMatch="*")

    return create


def test_a_promoter_who_is_no_mover_moves_other_channels_only(registry, create):
    otto = registry.act("otto", Role.PROMOTER)
    assert create(otto, channel_entry_key("pets", "prod", 1)) == "AccessDenied"
    assert create(otto, channel_entry_key("pets", "test", 1)) == ""
    for number, mover in enumerate(MOVERS["prod"].movers, start=1):
        assert create(registry.act(mover, Role.PROMOTER), channel_entry_key("pets", "prod", number)) == ""


def test_a_mover_needs_the_promoters_role_and_an_administrator_gets_around_nothing(registry, create):
    assert create(registry.act("noa", Role.PUBLISHER), channel_entry_key("pets", "prod", 9)) == "AccessDenied"
    assert create(registry.emulator.client("s3"), channel_entry_key("pets", "prod", 9)) == "AccessDenied"


def test_nobody_takes_a_role_under_anothers_name(registry):
    for user, session in (("otto", "noa"), ("otto", "root"), ("otto", "publisher")):
        sts = session_client(registry.emulator, "sts", registry.users[user])
        for role in registry.roles.values():
            assert refusal(sts.assume_role, RoleArn=role, RoleSessionName=session) == "AccessDenied"


def test_what_the_collector_deletes_is_still_there_and_nobody_deletes_it_for_good(registry, create):
    key = blob_key("pets", "a" * 64)
    assert create(registry.act("noa", Role.PUBLISHER), key) == ""
    collector = registry.act("noa", Role.COLLECTOR)
    assert refusal(collector.delete_object, Bucket=registry.bucket, Key=key) == ""
    assert refusal(collector.get_object, Bucket=registry.bucket, Key=key) == "NoSuchKey"
    (kept,) = registry.act("otto", Role.READER).list_object_versions(Bucket=registry.bucket, Prefix=key)["Versions"]
    assert kept["IsLatest"] is False
    administrator = registry.emulator.client("s3")
    retention = administrator.get_object_retention(Bucket=registry.bucket, Key=key, VersionId=kept["VersionId"])
    assert retention["Retention"]["Mode"] == "GOVERNANCE"
    for s3 in (collector, administrator):
        for bypass in (False, True):
            for_good = {"VersionId": kept["VersionId"], "BypassGovernanceRetention": bypass}
            assert refusal(s3.delete_object, Bucket=registry.bucket, Key=key, **for_good) == "AccessDenied"


def test_the_publisher_reads_photos_where_the_stack_says_and_nobody_reads_beside(registry):
    for role in Role:
        s3 = registry.act("noa", role)

        def refused(call: str, s3: Any = s3, **asked: str) -> str:
            return refusal(getattr(s3, call), Bucket=registry.archive, **asked)

        expected = "" if role is Role.PUBLISHER else "AccessDenied"
        assert refused("list_objects_v2", Prefix="2026/") == expected
        assert refused("get_object", Key="2026/cat/1.jpg") == expected
        for beside in ("", "2026-private/"):
            assert refused("list_objects_v2", Prefix=beside) == "AccessDenied"
        assert refused("get_object", Key="2026-private/cat/1.jpg") == "AccessDenied"
        assert refused("put_object", Key="2026/cat/2.jpg") == "AccessDenied"


def test_the_reader_examines_the_store_and_other_roles_do_not(registry):
    asked = (
        "get_bucket_encryption",
        "get_bucket_logging",
        "get_bucket_policy",
        "get_bucket_versioning",
        "get_object_lock_configuration",
        "get_public_access_block",
    )
    for role in Role:
        s3 = registry.act("otto", role)
        codes = {refusal(getattr(s3, call), Bucket=registry.bucket) for call in asked}
        assert ("AccessDenied" in codes) is (role is not Role.READER)
        assert refusal(s3.list_object_versions, Bucket=registry.bucket) == ""
