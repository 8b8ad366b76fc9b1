"""The roles of `infra/delivery` in an emulator, as a workflow's jobs have them, and what was asked in them.

Taking a role with GitHub's token is not rehearsed (tests/infra/delivery compares the claims); here the account takes
them, and everything that a job does is checked against the policies that the role really has.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from infra import policies
from infra.policies import Deploying, Document
from rehearsal.emulator import Emulator
from tests.infra.documents import as_list

PREVIEW = "delivery-preview"
_LINE = re.compile(r"petpark\.requests\s*: arn:aws:sts::\d+:assumed-role/(?P<role>delivery-[\w-]+)/\S+ (?P<action>\S+)")


def deploying(stack: str) -> str:
    """The name of the role that deploys a stack."""
    return f"delivery-deploy-{stack}"


def granted(emulator: Emulator, account: str) -> Mapping[str, tuple[Document, ...]]:
    """What each role may do."""
    region = emulator.region
    found: dict[str, tuple[Document, ...]] = {PREVIEW: (policies.preview(account, region, None),)}
    for stack in ("test", "prod"):
        to = Deploying(account=account, region=region, stack=stack, owner=stack == "test", state_bucket=None)
        found[deploying(stack)] = tuple(policies.deploy(to).values())
    return found


def create(emulator: Emulator) -> Mapping[str, Mapping[str, str]]:
    """Create the roles; the environment variables of a session in each."""
    iam, sts = emulator.client("iam"), emulator.client("sts")
    account = sts.get_caller_identity()["Account"]
    sessions: dict[str, Mapping[str, str]] = {}
    for name, documents in granted(emulator, account).items():
        # The administrator's own name is root here: tests/rehearsal/emulator/test_access.py
        role = iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=policies.as_json(policies.trust_people(account))
        )["Role"]["Arn"]
        for number, document in enumerate(documents):
            made = iam.create_policy(PolicyName=f"{name}-{number}", PolicyDocument=policies.as_json(document))
            iam.attach_role_policy(RoleName=name, PolicyArn=made["Policy"]["Arn"])
        session = sts.assume_role(RoleArn=role, RoleSessionName="root", DurationSeconds=3600)["Credentials"]
        sessions[name] = {
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        }
    return sessions


def used(log: Path) -> Mapping[str, set[str]]:
    """The permissions that each role needed and had, from the emulator's log of requests."""
    found: dict[str, set[str]] = defaultdict(set)
    with log.open(errors="replace") as lines:
        for line in lines:
            if match := _LINE.search(line):
                found[match["role"]].add(match["action"])
    return found


def actions(documents: tuple[Document, ...]) -> set[str]:
    """The actions that policies allow."""
    return {
        action
        for document in documents
        for statement in document["Statement"]
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    }


_WITH_TAGS = "AWS asks for it where something is created with tags or tags change; the emulator does not"
_HOST_NAME = "for a host name's certificate and records: there is no DNS here, and no HTTPS"
_READ_BACK = "asked by `petpark deploy` after `up`, which tests/petpark/delivery tests"
_IN_USE = "asked where a network interface keeps something from being deleted"
_NOT_EMPTY = "a bucket that holds something is emptied before it is deleted, if petpark:protect_data is false"
_UNCONFIRMED = "a subscription that nobody has confirmed ends by itself"
_CHANGED = "for a changed setting, of which this deployment has none"
_ON_MANIFEST = "for petpark:pipeline.on_manifest, which is off in this deployment"
_ACTIONS = "for actions of alarms (petpark:alarm_actions, chat_webhook), of which this deployment has none"
_PUBLISHED = "AWS asks for it where a state machine is made or changed with a version; the emulator does not"
NOT_RECORDED: Mapping[str, str] = {
    "acm:AddTagsToCertificate": _HOST_NAME,
    "acm:DeleteCertificate": _HOST_NAME,
    "acm:DescribeCertificate": _HOST_NAME,
    "acm:ListTagsForCertificate": _HOST_NAME,
    "acm:RequestCertificate": _HOST_NAME,
    "autoscaling:DescribeInstanceRefreshes": _READ_BACK,
    "autoscaling:StartInstanceRefresh": _CHANGED,
    "cloudwatch:TagResource": _WITH_TAGS,
    "ec2:CreateLaunchTemplateVersion": _CHANGED,
    "ec2:DeleteTags": _WITH_TAGS,
    "ec2:DescribeNetworkInterfaces": _IN_USE,
    "ec2:ModifyInstanceAttribute": _CHANGED,
    "ec2:ModifyLaunchTemplate": _CHANGED,
    "ec2:ModifySecurityGroupRules": _CHANGED,
    "ec2:StartInstances": _CHANGED,
    "ec2:StopInstances": _CHANGED,
    "elasticloadbalancing:AddTags": _WITH_TAGS,
    "elasticloadbalancing:DescribeTargetHealth": _READ_BACK,
    "elasticloadbalancing:ModifyListener": _CHANGED,
    "elasticloadbalancing:ModifyTargetGroup": _CHANGED,
    "elasticloadbalancing:SetSecurityGroups": _CHANGED,
    "events:CreateApiDestination": _ACTIONS,
    "events:CreateConnection": _ACTIONS,
    "events:DeleteApiDestination": _ACTIONS,
    "events:DeleteConnection": _ACTIONS,
    "events:DeleteRule": _ON_MANIFEST,
    "events:DescribeApiDestination": _ACTIONS,
    "events:DescribeConnection": _ACTIONS,
    "events:DescribeRule": _ON_MANIFEST,
    "events:ListTagsForResource": _ON_MANIFEST,
    "events:ListTargetsByRule": _ON_MANIFEST,
    "events:PutRule": _ON_MANIFEST,
    "events:PutTargets": _ON_MANIFEST,
    "events:RemoveTargets": _ON_MANIFEST,
    "events:TagResource": _ON_MANIFEST,
    "events:UpdateApiDestination": _ACTIONS,
    "events:UpdateConnection": _ACTIONS,
    "glue:TagResource": _WITH_TAGS,
    "glue:UpdateDatabase": _CHANGED,
    "glue:UpdateTable": _CHANGED,
    "iam:CreateServiceLinkedRole": _ACTIONS,
    "iam:TagInstanceProfile": _WITH_TAGS,
    "iam:TagRole": _WITH_TAGS,
    "iam:UpdateAssumeRolePolicy": _CHANGED,
    "iam:UpdateRoleDescription": _CHANGED,
    "kms:PutKeyPolicy": _CHANGED,
    "kms:TagResource": _WITH_TAGS,
    "logs:GetLogEvents": _READ_BACK,
    "logs:TagResource": _WITH_TAGS,
    "route53:ChangeResourceRecordSets": _HOST_NAME,
    "route53:GetChange": _HOST_NAME,
    "route53:GetHostedZone": _HOST_NAME,
    "route53:ListHostedZones": _HOST_NAME,
    "route53:ListResourceRecordSets": _HOST_NAME,
    "route53:ListTagsForResource": _HOST_NAME,
    "s3:DeleteObject": _NOT_EMPTY,
    "s3:GetBucketNotification": _ON_MANIFEST,
    "s3:PutBucketNotification": _ON_MANIFEST,
    "s3:PutBucketObjectLockConfiguration": _CHANGED,
    "s3:PutObjectTagging": _WITH_TAGS,
    "scheduler:UpdateSchedule": _CHANGED,
    "secretsmanager:CreateSecret": _ACTIONS,
    "secretsmanager:DeleteSecret": _ACTIONS,
    "secretsmanager:GetSecretValue": _ACTIONS,
    "secretsmanager:PutSecretValue": _ACTIONS,
    "secretsmanager:UpdateSecret": _ACTIONS,
    "sns:TagResource": _WITH_TAGS,
    "sns:Unsubscribe": _UNCONFIRMED,
    "states:PublishStateMachineVersion": _PUBLISHED,
    "states:TagResource": _WITH_TAGS,
    "states:UpdateStateMachine": _CHANGED,
    "states:UpdateStateMachineAlias": _CHANGED,
    "sts:AssumeRole": _READ_BACK,
}
"""Permissions that are allowed although no role used them here, and why."""
