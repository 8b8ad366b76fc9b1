"""What all runs share on the emulator: roles, people, a network, the code, photos, and the processes of instances."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from sys import executable
from typing import Any, Final

from infra.instances.code_bundle import build
from infra.instances.user_data import Bundle
from registry.layout.roles import Role
from registry.layout.workspace import code_key
from registry.store.s3_store import S3Store
from rehearsal.credentials import Person
from rehearsal.emulator import REPOSITORY, Emulator
from rehearsal.instances import InstanceRunner
from training.dataset.generated import generate
from training.dataset.ingest import ingest

PHOTOS: Final = 60
PEOPLE: Final = {"ana": Role.PUBLISHER, "vera": Role.CERTIFIER, "mia": Role.PROMOTER, "rui": Role.READER}
SECOND: Final = "rui"
"""Another certifier."""
_OPERATORS: Final = (Role.PUBLISHER, Role.CERTIFIER, Role.PROMOTER, Role.READER)
_EVERYTHING: Final = {"Effect": "Allow", "Action": "*", "Resource": "*"}
_SERVICES: Final = ("states.amazonaws.com", "events.amazonaws.com")
_GRACE_SECONDS: Final = 8.0
"""Seconds between the end of an instance and of its processes, for late wake-ups."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account without any run in it. `name` begins the names of everything."""

    name: str
    emulator: Emulator
    runner: InstanceRunner
    states_role: str
    profile: str
    """ARN of the instances' profile."""
    roles: dict[str, str]
    people: tuple[Person, ...]
    signing_key: str
    subnet: str
    bundle: Bundle
    lake: str
    photos: Path
    dataset: str

    def client(self, service: str) -> Any:
        """A client of the account's owner."""
        return self.emulator.client(service)

    def create_bucket(self, name: str) -> str:
        """Make a bucket."""
        place: Any = {"LocationConstraint": self.emulator.region}
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=place)
        return name

    def fill_lake(self, bucket: str) -> str:
        """Put the photos there; gives the dataset, which is the same each time."""
        return ingest(self.photos, S3Store(self.client("s3"), bucket), seed=5).sha256


@contextmanager
def open_account(emulator: Emulator, directory: Path, *, name: str) -> Generator[Account]:
    """Prepare the account, and run its instances until the end."""
    iam, ec2, s3 = (emulator.client(service) for service in ("iam", "ec2", "s3"))
    photos = directory / "photos"
    generate(photos, count=PHOTOS, seed=5)
    code, lake = f"{name}-code", f"{name}-lake"
    for bucket in (code, lake):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": emulator.region})
    path, sha256 = build(REPOSITORY, directory / "bundle")
    s3.upload_file(str(path), code, code_key("test", sha256))
    own = emulator.client("sts").get_caller_identity()["Account"]
    roles = {role.value: _role(iam, f"{name}-{role}", {"AWS": f"arn:aws:iam::{own}:root"}) for role in _OPERATORS}
    instance = f"{name}-instance"
    _role(iam, instance, {"Service": "ec2.amazonaws.com"})
    profile = iam.create_instance_profile(InstanceProfileName=instance)["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName=instance, RoleName=instance)
    vpc = ec2.create_vpc(CidrBlock="10.92.0.0/16")["Vpc"]["VpcId"]
    key = emulator.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    with InstanceRunner(emulator, directory, python=Path(executable), grace_seconds=_GRACE_SECONDS) as runner:
        yield Account(
            name=name,
            emulator=emulator,
            runner=runner,
            states_role=_role(iam, f"{name}-states", {"Service": list(_SERVICES)}),
            profile=profile,
            roles=roles,
            people=tuple(_person(iam, f"{name}-{who}", role) for who, role in PEOPLE.items()),
            signing_key=key,
            subnet=ec2.create_subnet(VpcId=vpc, CidrBlock="10.92.0.0/20")["Subnet"]["SubnetId"],
            bundle=Bundle(bucket=code, key=code_key("test", sha256), sha256=sha256),
            lake=lake,
            photos=photos,
            dataset=ingest(photos, S3Store(s3, lake), seed=5).sha256,
        )


def _person(iam: Any, name: str, role: Role) -> Person:
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=_document(_EVERYTHING))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Person(name=name, role=role, access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])


def _role(iam: Any, name: str, principal: dict[str, Any]) -> str:
    """A role that may do everything: permissions are tested elsewhere."""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=_document(_EVERYTHING))
    return made["Role"]["Arn"]


def _document(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
