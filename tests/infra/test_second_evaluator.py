"""Our policies say the same to two evaluators: the rehearsal's own, and iam-simulate, which others wrote.

Every role makes every request that any of them could make, with what belongs to it, with something beside it, and from
either account. The two do not differ in anything that is asked here.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from infra import policies
from infra.policies import Document, ResourceNames
from registry.channel_policy import ChannelPolicy
from registry.layout.roles import Role
from tests.policy_evaluator import conditions as rehearsed
from tests.policy_evaluator import policy
from tests.simulator import simulate

OWNER, PROD, STRANGER = "123456789012", "210987654321", "333333333333"
KMS = f"arn:aws:kms:eu-west-1:{OWNER}:key"
EC2 = f"arn:aws:ec2:eu-west-1:{OWNER}"
PLACES = ResourceNames(
    model="pets",
    model_store="store",
    data_lake="lake",
    workspace="work",
    encryption_key=f"{KMS}/11111111-1111-1111-1111-111111111111",
    signing_key=f"{KMS}/22222222-2222-2222-2222-222222222222",
)
ACCOUNTS = {"prod": PROD}
COLLECTOR, CERTIFIER = (f"arn:aws:iam::{OWNER}:role/operators-{role}-1" for role in (Role.COLLECTOR, Role.CERTIFIER))
TEMPLATE = f"{EC2}:launch-template/lt-1"
TRAINING_ROLE = f"arn:aws:iam::{OWNER}:role/training-machine-role-1"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody, and what their own policies say."""

    role: str
    session: str
    policies: tuple[Document, ...]

    @property
    def account(self) -> str:
        return self.role.split(":")[4]

    @property
    def arn(self) -> str:
        return f"arn:aws:sts::{self.account}:assumed-role/{self.role.rpartition('/')[2]}/{self.session}"

    @property
    def context(self) -> dict[str, str]:
        return {"aws:PrincipalArn": self.role, "aws:userid": f"AROA{self.role[-12:]}:{self.session}"}


def callers() -> Iterator[Caller]:
    log = f"arn:aws:logs:eu-west-1:{OWNER}:log-group:/petpark/test/endpoint"
    watch = policies.watch_jobs(log_group=log)
    for role in Role:
        documents = (policies.operator(role, PLACES, ["photos/2026"]), *([watch] if role is Role.PUBLISHER else []))
        yield Caller(role=f"arn:aws:iam::{OWNER}:role/operators-{role}-1", session="mia", policies=documents)
    endpoint = (policies.endpoint(PLACES, log, "test"), policies.session_manager())
    for account in (OWNER, PROD, STRANGER):
        yield Caller(role=f"arn:aws:iam::{account}:role/endpoint-machine-role-1", session="i-1", policies=endpoint)
    launch = policies.run_jobs(
        places=PLACES, templates=[TEMPLATE], subnets=[f"{EC2}:subnet/subnet-1"], roles=[TRAINING_ROLE]
    )
    yield Caller(role=f"arn:aws:iam::{OWNER}:role/pipeline-job-role-1", session="job", policies=(launch,))
    yield Caller(role=TRAINING_ROLE, session="i-2", policies=(policies.training(PLACES, log),))
    people = (policies.person([f"arn:aws:iam::{OWNER}:role/operators-promoter-1"]),)
    for account in (OWNER, PROD):
        yield Caller(role=f"arn:aws:iam::{account}:role/people", session="mia", policies=people)
        everything: Document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
        }
        yield Caller(role=f"arn:aws:iam::{account}:role/administrator", session="root", policies=(everything,))


STORE = policies.write_once_bucket(
    "store",
    PLACES.encryption_key,
    COLLECTOR,
    f"AROA{'operators-promoter-1'[-12:]}",
    "pets",
    {"prod": ChannelPolicy(movers=("mia",)), "test": ChannelPolicy()},
    ACCOUNTS,
)
GUARDS: Mapping[str, Document] = {
    "arn:aws:s3:::store": STORE,
    "arn:aws:s3:::lake": policies.lake_bucket("lake", ACCOUNTS),
    "arn:aws:s3:::work": policies.workspace_bucket("work", ACCOUNTS),
    PLACES.encryption_key: policies.encryption_key(OWNER, ACCOUNTS),
    PLACES.signing_key: policies.signing_key(OWNER, CERTIFIER, ACCOUNTS),
    f"arn:aws:iam::{OWNER}:role/operators-promoter-1": policies.trust_people(OWNER, [PROD]),
    f"arn:aws:iam::{OWNER}:role/operators-certifier-1": policies.trust_people(OWNER),
}
"""Policies of resources; those of keys and roles must agree to everything."""

ONCE = {"s3:if-none-match": "*", "s3:ObjectCreationOperation": "true"}
PUTS: tuple[dict[str, str], ...] = (
    ONCE,
    {"s3:ObjectCreationOperation": "true"},
    {"s3:ObjectCreationOperation": "false"},
    {**ONCE, "s3:x-amz-server-side-encryption": "AES256"},
    {**ONCE, "s3:x-amz-server-side-encryption-aws-kms-key-id": f"{KMS}/foreign"},
    {
        **ONCE,
        "s3:x-amz-server-side-encryption": "aws:kms",
        "s3:x-amz-server-side-encryption-aws-kms-key-id": PLACES.encryption_key,
    },
    {**ONCE, "aws:SecureTransport": "false"},
)
PLAIN: tuple[dict[str, str], ...] = ({}, {"aws:SecureTransport": "false"})
JOB, OTHER_TAG = ({"aws:RequestTag/petpark:job": "j"}, {"aws:RequestTag/other": "j"})
OF_TEMPLATE = {"ec2:LaunchTemplate": TEMPLATE, "ec2:IsLaunchTemplateResource": "true"}
LAUNCHES: tuple[dict[str, str], ...] = (
    {},
    {**OF_TEMPLATE, **JOB},
    {**OF_TEMPLATE, "ec2:IsLaunchTemplateResource": "false", **JOB},
    {**OF_TEMPLATE, **OTHER_TAG},
    {**OF_TEMPLATE, "ec2:LaunchTemplate": f"{EC2}:launch-template/lt-2", **JOB},
)

OBJECTS = tuple(
    f"arn:aws:s3:::{key}"
    for key in (
        "store/pets/blobs/sha256/f",
        "store/pets/versions/00000001.json",
        "store/pets/certificates/00000001/00000001.json",
        "store/pets/channels/prod/00000001.json",
        "store/pets/channels/prod2/00000001.json",
        "store/pets/experiments/prod/00000001.json",
        "store/cars/channels/prod/00000001.json",
        "store/api_keys/test/00000001.json",
        "store/api_keys/prod/00000001.json",
        "store/api_keys/prod/notes.txt",
        "lake/photos/sha256/f",
        "lake/events/gate/2030-01-02/f.json",
        "lake/event-pictures/gate/2030-01-02/f.jpg",
        "lake/telemetry/v1/stack=prod/camera=gate/date=2030-01-02/hour=03/i-00000001.parquet",
        "work/code/prod/f.zip",
        "work/code/test/f.zip",
        "work/jobs/1/checkpoints/1.pt",
        "work/jobs/1/spec.json",
        "photos/2026/cat.jpg",
        "photos/2026-old/cat.jpg",
        "elsewhere/a",
    )
)
BUCKETS = tuple(f"arn:aws:s3:::{bucket}" for bucket in ("store", "lake", "work", "photos", "elsewhere"))
KEYS = (PLACES.encryption_key, PLACES.signing_key)
LOGS = tuple(f"arn:aws:logs:eu-west-1:{OWNER}:log-group:/petpark/test/{end}:log-stream:i" for end in ("endpoint", "x"))
INSTANCES = (f"{EC2}:instance/i-1",)
ROLES = (*(arn for arn in GUARDS if ":role/" in arn), TRAINING_ROLE)

ASKED: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[dict[str, str], ...]], ...] = (
    (("s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectTagging"), OBJECTS, PLAIN),
    (("s3:PutObject",), OBJECTS, PUTS),
    (("s3:AbortMultipartUpload",), OBJECTS, ({},)),
    (("s3:ListBucket",), BUCKETS, (*PLAIN, {"s3:prefix": "2026/"}, {"s3:prefix": "2026"}, {"s3:prefix": "2026-old/"})),
    (("s3:ListBucketVersions", "s3:GetBucketPolicy", "s3:PutBucketPolicy"), BUCKETS, PLAIN),
    (
        ("kms:Decrypt", "kms:GenerateDataKey"),
        KEYS,
        ({}, {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}, {"kms:ViaService": "ssm.eu-west-1.amazonaws.com"}),
    ),
    (("kms:Sign", "kms:Verify", "kms:GetPublicKey"), KEYS, ({},)),
    (("logs:CreateLogStream", "logs:PutLogEvents"), LOGS, ({},)),
    (
        ("ec2:RunInstances",),
        (
            f"{EC2}:instance/i-1",
            f"{EC2}:volume/v-1",
            f"{EC2}:subnet/subnet-1",
            f"{EC2}:subnet/subnet-2",
            f"{EC2}:security-group/sg-1",
            f"{EC2}:network-interface/eni-1",
            "arn:aws:ec2:eu-west-1::image/ami-1",
            TEMPLATE,
            f"{EC2}:launch-template/lt-2",
        ),
        LAUNCHES,
    ),
    (("ec2:CreateTags",), INSTANCES, ({}, {"ec2:CreateAction": "RunInstances"}, {"ec2:CreateAction": "CreateVolume"})),
    (("ec2:TerminateInstances",), INSTANCES, ({}, {"aws:ResourceTag/petpark:job": "j"}, {"aws:ResourceTag/x": "j"})),
    (("ec2:DescribeInstances", "elasticloadbalancing:DescribeTargetHealth"), ("*",), ({},)),
    (("ssmmessages:OpenDataChannel",), ("*",), ({},)),
    (
        ("iam:PassRole",),
        ROLES,
        ({"iam:PassedToService": "ec2.amazonaws.com"}, {"iam:PassedToService": "lambda.amazonaws.com"}, {}),
    ),
    (("sts:AssumeRole",), ROLES[:-1], ({"sts:RoleSessionName": "mia"}, {"sts:RoleSessionName": "other"})),
)


def requests() -> Iterator[tuple[Caller, str, str, dict[str, str]]]:
    for actions, resources, contexts in ASKED:
        for asker, action, arn, context in itertools.product(callers(), actions, resources, contexts):
            yield asker, action, arn, {"aws:SecureTransport": "true", **asker.context, **context}


def guard(arn: str, action: str) -> Document | None:
    """The policy of a resource; of a role, only its trust, which is about taking it."""
    if ":role/" in arn and action != "sts:AssumeRole":
        return None
    return GUARDS.get(arn.partition("/")[0] if ":s3:" in arn else arn)


def ours(asker: Caller, action: str, arn: str, context: dict[str, str]) -> str:
    """What the rehearsal says, in the words of the other."""
    resource = None if arn == "*" and ":Describe" not in action else arn
    asked = policy.Request(
        action=action, resource=resource, context={key.lower(): value for key, value in context.items()}
    )
    principal = policy.Principal(account=asker.account, arns=frozenset({asker.arn, asker.role}))
    identity = policy.evaluate(map(json.dumps, asker.policies), asked, principal)
    document = guard(arn, action)
    theirs = policy.evaluate(json.dumps(document), asked, principal) if document else policy.Decision.IMPLICIT_DENY
    refusal = policy.denial_reason(
        identity,
        theirs,
        must_agree=":kms:" in arn or action == "sts:AssumeRole",
        foreign=owner(arn, asker) != asker.account,
    )
    if refusal is None:
        return "Allowed"
    return "ExplicitlyDenied" if "explicit" in refusal else "ImplicitlyDenied"


def owner(arn: str, asker: Caller) -> str:
    if arn == "*":
        return asker.account
    return arn.split(":")[4] or OWNER


def simulation(asker: Caller, action: str, arn: str, context: dict[str, str]) -> dict[str, Any]:
    document = guard(arn, action)
    return {
        "request": {
            "principal": asker.arn,
            "action": action,
            "resource": {"resource": arn, "accountId": owner(arn, asker)},
            "contextVariables": context,
        },
        "identityPolicies": [{"name": f"p{n}", "policy": each} for n, each in enumerate(asker.policies)],
        "serviceControlPolicies": [],
        "resourceControlPolicies": [],
        **({"resourcePolicy": document} if document else {}),
    }


@pytest.fixture(scope="module")
def answers() -> list[tuple[tuple[Caller, str, str, dict[str, str]], dict[str, Any]]]:
    asked = list(requests())
    return list(zip(asked, simulate([simulation(*each) for each in asked]), strict=True))


def test_the_other_evaluator_understands_every_policy_and_every_request(answers):
    errors = Counter(json.dumps(answer["error"]) for _, answer in answers if "error" in answer)
    assert errors == {}


def test_no_condition_key_is_one_that_the_request_does_not_have(answers):
    ignored = Counter((asked[1], key) for asked, answer in answers for key in answer["ignored"])
    assert ignored == {}


def test_both_say_the_same_to_every_request(answers):
    differing = [
        f"{asked[0].arn} {asked[1]} {asked[2]} {asked[3]}: ours {mine}, theirs {answer['result']}"
        for asked, answer in answers
        if (mine := ours(*asked)) != answer["result"]
    ]
    assert differing == []


def test_the_requests_are_answered_in_all_three_ways(answers):
    said = Counter(answer["result"] for _, answer in answers)
    assert min(said[word] for word in ("Allowed", "ImplicitlyDenied", "ExplicitlyDenied")) > 100


# --- what the evaluators make of conditions and principals in general, by documents of one statement each ---

KEY_ARN = f"{KMS}/11111111-1111-1111-1111-111111111111"
SUBJECTS: Mapping[str, tuple[str, str, str, tuple[str, ...], tuple[str, ...]]] = {
    "String": ("s3:ListBucket", "arn:aws:s3:::store", "s3:prefix", ("a", "a*", "b?"), ("a", "ab", "b", "bc", "A")),
    "Arn": (
        "s3:PutObject",
        "arn:aws:s3:::store/a",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        (KEY_ARN, f"{KMS}/*", "arn:aws:kms:*:123456789012:key/1*"),
        (KEY_ARN, f"{KMS}/3", f"arn:aws:kms:us-east-1:{OWNER}:key/1"),
    ),
    "Bool": ("s3:ListBucket", "arn:aws:s3:::store", "aws:SecureTransport", ("true", "false"), ("true", "false")),
    "Numeric": ("s3:ListBucket", "arn:aws:s3:::store", "s3:max-keys", ("10", "20"), ("5", "10", "15")),
    "Date": (
        "s3:ListBucket",
        "arn:aws:s3:::store",
        "aws:CurrentTime",
        ("2026-01-01T00:00:00Z", "2026-06-01T12:00:00Z"),
        ("2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z"),
    ),
    "IpAddress": (
        "s3:ListBucket",
        "arn:aws:s3:::store",
        "aws:SourceIp",
        ("203.0.113.0/24", "198.51.100.7"),  # the other takes no address of IPv6 for one outside a network of IPv4
        ("203.0.113.9", "203.0.114.9", "198.51.100.7"),
    ),
}
"""By a part of an operator's name: action, resource, key, values of the policy and of the request."""

ANYBODY = Caller(role=f"arn:aws:iam::{OWNER}:role/r", session="s", policies=())


def conditions() -> Iterator[dict[str, Any]]:
    """Every operator with every value, present and absent, as the only statement beside one that allows everything."""
    names = [*rehearsed.OPERATORS, *(f"{name}IfExists" for name in rehearsed.OPERATORS if name != "Null"), "Null"]
    for name, effect in itertools.product(names, ("Allow", "Deny")):
        kinds = [kind for kind in SUBJECTS if kind in name or name == "Null"]
        for action, arn, key, values, given in (SUBJECTS[kind] for kind in kinds):
            expected = ["true", "false"] if name == "Null" else [*values, list(values)]
            for value, present in itertools.product(expected, (None, *given)):
                yield {
                    "action": action,
                    "arn": arn,
                    "context": {} if present is None else {key: present},
                    "statement": {
                        "Effect": effect,
                        "Action": action,
                        "Resource": arn,
                        "Condition": {name: {key: value}},
                    },
                }


def test_both_make_the_same_of_every_operator_with_keys_that_are_there_and_that_are_not():
    cases = list(conditions())
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    documents = [
        {
            "Version": "2012-10-17",
            "Statement": [case["statement"], *([everything] * (case["statement"]["Effect"] == "Deny"))],
        }
        for case in cases
    ]
    theirs = simulate(
        [
            {**simulation(ANYBODY, c["action"], c["arn"], c["context"]), "resourcePolicy": None}
            | {"identityPolicies": [{"name": "p", "policy": document}]}
            for c, document in zip(cases, documents, strict=True)
        ]
    )
    principal = policy.Principal(account=OWNER, arns=frozenset({ANYBODY.arn, ANYBODY.role}))
    words = {
        policy.Decision.ALLOWED: "Allowed",
        policy.Decision.IMPLICIT_DENY: "ImplicitlyDenied",
        policy.Decision.EXPLICIT_DENY: "ExplicitlyDenied",
    }
    differing: list[str] = []
    for case, document, answer in zip(cases, documents, theirs, strict=True):
        context = {key.lower(): value for key, value in case["context"].items()}
        asked = policy.Request(action=case["action"], resource=case["arn"], context=context)
        mine = words[policy.evaluate(json.dumps(document), asked, principal)]
        if mine != answer.get("result"):
            differing.append(f"{case['statement']} {case['context']}: ours {mine}, theirs {answer}")
    assert differing == []


def test_both_make_the_same_of_two_accounts_by_name_and_by_account():
    rule = {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::store/a"}
    cases: list[tuple[Caller, Document, Document]] = []
    for account, named, identity in itertools.product((OWNER, PROD), range(4), ("Allow", "Deny", "elsewhere")):
        asker = Caller(role=f"arn:aws:iam::{account}:role/r", session="s", policies=())
        principal = (asker.role, f"arn:aws:iam::{account}:root", "*", COLLECTOR)[named]
        bucket = {"Effect": "Allow", "Principal": {"AWS": principal}, **rule}
        own = {"Effect": "Allow", **rule, "Resource": "arn:aws:s3:::elsewhere/a"}
        cases.append(
            (asker, _document(own if identity == "elsewhere" else {"Effect": identity, **rule}), _document(bucket))
        )
    theirs = simulate(
        [
            {**simulation(asker, rule["Action"], rule["Resource"], asker.context), "resourcePolicy": bucket}
            | {"identityPolicies": [{"name": "p", "policy": own}]}
            for asker, own, bucket in cases
        ]
    )
    asked = policy.Request(action=rule["Action"], resource=rule["Resource"], context={})
    for (asker, own, bucket), answer in zip(cases, theirs, strict=True):
        principal = policy.Principal(account=asker.account, arns=frozenset({asker.arn, asker.role}))
        verdicts = [policy.evaluate(json.dumps(document), asked, principal) for document in (own, bucket)]
        refused = policy.denial_reason(*verdicts, must_agree=False, foreign=asker.account != OWNER)
        assert (refused is None) == (answer["result"] == "Allowed"), (own, bucket, answer)


def _document(*statements: dict[str, Any]) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}
