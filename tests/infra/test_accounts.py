"""A prod stack in an AWS account of its own: what it is let do, by both sides, and what stays closed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import policies
from infra.policies import Deploying, Document, ResourceNames
from registry.layout.data_lake import event_key
from registry.layout.model_store import blob_key
from registry.layout.roles import Role
from registry.layout.workspace import code_key
from tests.infra.conftest import PROD_ACCOUNT
from tests.policy_evaluator import policy

OWNER, STRANGER = "123456789012", "333333333333"
ACCOUNTS = {"prod": PROD_ACCOUNT}
PLACES = ResourceNames(
    model="pets",
    model_store="store",
    data_lake="lake",
    workspace="work",
    encryption_key=f"arn:aws:kms:eu-west-1:{OWNER}:key/encrypt",
    signing_key=f"arn:aws:kms:eu-west-1:{OWNER}:key/sign",
)
ENDPOINT = policies.endpoint(PLACES, f"arn:aws:logs:eu-west-1:{PROD_ACCOUNT}:log-group:/petpark/prod/endpoint", "prod")
EVERYTHING: Document = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}

RESOURCE_POLICIES = {
    "store": policies.write_once_bucket("store", PLACES.encryption_key, "arn:c", "AROA1", "pets", {}, ACCOUNTS),
    "lake": policies.lake_bucket("lake", ACCOUNTS),
    "work": policies.workspace_bucket("work", ACCOUNTS),
    "encrypt": policies.encryption_key(OWNER, ACCOUNTS),
    "sign": policies.signing_key(OWNER, "arn:c", ACCOUNTS),
}
ENDPOINT_ROLE = f"arn:aws:iam::{PROD_ACCOUNT}:role/endpoint-machine-role-0a1b2c3"
KEY = st.text(st.characters(codec="ascii", exclude_characters="*?"), max_size=20)


def allowed(identity: Document, role: str, action: str, resource: str, **context: str) -> bool:
    """Whether a role of another account may: both sides must allow."""
    place = resource.removeprefix("arn:aws:s3:::").partition("/")[0].rpartition(":key/")[2]
    place = resource.rpartition("/")[2] if ":kms:" in resource else place
    known = {"aws:principalarn": role, "aws:securetransport": "true", "aws:userid": "AROA2:i-1", **context}
    asked = policy.Request(action=action, resource=resource, context=known)
    asker = policy.Principal(account=role.split(":")[4], arns=frozenset({role}))
    own = policy.evaluate(json.dumps(identity), asked, asker)
    theirs = policy.evaluate(json.dumps(RESOURCE_POLICIES[place]), asked, asker)
    return policy.denial_reason(own, theirs, must_agree=":kms:" in resource, foreign=True) is None


def endpoint_may(action: str, resource: str, **context: str) -> bool:
    return allowed(ENDPOINT, ENDPOINT_ROLE, action, resource, **context)


@pytest.mark.parametrize("key", ["encrypt", "sign"])
def test_a_key_leaves_its_use_to_the_policies_of_its_own_account(key):
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html"""
    own = [s for s in RESOURCE_POLICIES[key]["Statement"] if s["Action"] == "kms:*"]
    assert [statement["Principal"] for statement in own] == [{"AWS": f"arn:aws:iam::{OWNER}:root"}]


def test_an_endpoint_in_another_account_reads_models_and_its_code_and_verifies():
    assert endpoint_may("s3:ListBucket", "arn:aws:s3:::store")
    assert endpoint_may("s3:GetObject", f"arn:aws:s3:::store/{blob_key('pets', 'f' * 64)}")
    assert endpoint_may("s3:GetObject", f"arn:aws:s3:::work/{code_key('prod', 'f' * 64)}")
    assert endpoint_may("kms:Decrypt", PLACES.encryption_key, **{"kms:viaservice": "s3.eu-west-1.amazonaws.com"})
    assert endpoint_may("kms:Verify", PLACES.signing_key)
    assert endpoint_may("kms:GetPublicKey", PLACES.signing_key)


def test_it_adds_events_and_overwrites_none():
    event = f"arn:aws:s3:::lake/{event_key('gate', '2030-01-02', 'f' * 32)}"
    once = {"s3:if-none-match": "*", "s3:objectcreationoperation": "true"}
    assert endpoint_may("s3:PutObject", event, **once)
    assert not endpoint_may("s3:PutObject", event)
    assert not endpoint_may("s3:GetObject", event)


def test_it_signs_nothing_and_decrypts_nothing_that_does_not_come_from_s3():
    assert not allowed(EVERYTHING, ENDPOINT_ROLE, "kms:Sign", PLACES.signing_key)
    assert not allowed(EVERYTHING, ENDPOINT_ROLE, "kms:Decrypt", PLACES.encryption_key)
    assert not allowed(EVERYTHING, ENDPOINT_ROLE, "kms:GenerateDataKey", PLACES.encryption_key)


WRITES = ("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutBucketPolicy", "s3:PutObjectTagging")


@given(st.sampled_from(WRITES), KEY)
def test_no_role_of_another_account_writes_to_the_model_store_however_much_it_may_at_home(action, key):
    context = {"s3:if-none-match": "*", "s3:objectcreationoperation": "true"}
    for role in (ENDPOINT_ROLE, f"arn:aws:iam::{PROD_ACCOUNT}:role/administrator"):
        assert not allowed(EVERYTHING, role, action, f"arn:aws:s3:::store/{key}", **context)
        assert not allowed(EVERYTHING, role, action, "arn:aws:s3:::store", **context)


@given(KEY, st.sampled_from(["test", "prod2", "pro"]))
def test_those_who_deploy_a_stack_keep_its_code_and_no_other_stacks(key, stack):
    deployer = f"arn:aws:iam::{PROD_ACCOUNT}:role/deployer"
    for action in ("s3:PutObject", "s3:PutObjectTagging", "s3:GetObject", "s3:GetObjectTagging"):
        assert allowed(EVERYTHING, deployer, action, f"arn:aws:s3:::work/code/prod/{key}")
        assert not allowed(EVERYTHING, deployer, action, f"arn:aws:s3:::work/code/{stack}/{key}")
        assert not allowed(EVERYTHING, deployer, action, f"arn:aws:s3:::work/jobs/{key}")
    assert not allowed(EVERYTHING, deployer, "s3:DeleteObject", f"arn:aws:s3:::work/code/prod/{key}")


@given(KEY)
def test_they_take_away_their_stacks_outputs_and_nothing_else(key):
    granted = policies.deploy(
        Deploying(account=PROD_ACCOUNT, region="eu-west-1", stack="prod", owner=False, state_bucket=None)
    )["endpoint"]
    here = {**granted, "Statement": json.loads(json.dumps(granted["Statement"]).replace("data-workspace-*", "work"))}
    deployer = f"arn:aws:iam::{PROD_ACCOUNT}:role/delivery-deploy-prod"
    assert allowed(here, deployer, "s3:ListBucketVersions", "arn:aws:s3:::work", **{"s3:prefix": "stacks/prod.json"})
    for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
        assert allowed(here, deployer, action, "arn:aws:s3:::work/stacks/prod.json")
        assert not allowed(EVERYTHING, deployer, action, "arn:aws:s3:::work/stacks/test.json")
        assert not allowed(EVERYTHING, deployer, action, f"arn:aws:s3:::work/jobs/{key}")
    assert not allowed(EVERYTHING, deployer, "s3:ListBucketVersions", "arn:aws:s3:::work")


@pytest.mark.parametrize(
    "role",
    [
        f"arn:aws:iam::{PROD_ACCOUNT}:role/administrator",
        f"arn:aws:iam::{PROD_ACCOUNT}:role/my-endpoint-machine-role-1",
        f"arn:aws:iam::{STRANGER}:role/endpoint-machine-role-0a1b2c3",
    ],
)
def test_nobody_but_endpoints_of_the_named_account_reads(role):
    via_s3 = {"kms:viaservice": "s3.eu-west-1.amazonaws.com"}
    assert not allowed(EVERYTHING, role, "s3:GetObject", "arn:aws:s3:::store/pets/versions/00000001.json")
    assert not allowed(EVERYTHING, role, "s3:ListBucket", "arn:aws:s3:::store")
    assert not allowed(EVERYTHING, role, "s3:PutObject", "arn:aws:s3:::lake/events/a", **{"s3:if-none-match": "*"})
    assert not allowed(EVERYTHING, role, "kms:Decrypt", PLACES.encryption_key, **via_s3)
    assert not allowed(EVERYTHING, role, "kms:Verify", PLACES.signing_key)


def test_without_other_accounts_nothing_is_let_in():
    for document in (
        policies.write_once_bucket("store", "k", "c", "AROA1", "pets", {}),
        policies.lake_bucket("lake", {}),
        policies.workspace_bucket("work", {}),
    ):
        assert {statement["Effect"] for statement in document["Statement"]} == {"Deny"}
    assert policies.encryption_key(OWNER, {}) == {
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [
            {
                "Sid": "Enable IAM User Permissions",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{OWNER}:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }
    assert all(
        s["Principal"] == {"AWS": f"arn:aws:iam::{OWNER}:root"} for s in policies.trust_people(OWNER)["Statement"]
    )


@given(st.sampled_from(list(Role)))
def test_people_of_the_other_account_take_the_promoters_and_the_readers_role_alone(apart, role):
    trust = apart["test"].named(f"operators-{role}").inputs["assumeRolePolicy"]
    assert (PROD_ACCOUNT in trust) is (role in {Role.PROMOTER, Role.READER})


def test_the_stack_apart_has_its_api_keys_in_the_owners_store(apart):
    prod = apart["prod"]
    assert set(prod.outputs["roles"]) == set(map(str, Role))
    statements = json.loads(prod.named("endpoint-machine-grants").inputs["policy"])["Statement"]
    readable = [each["Resource"] for each in statements if each["Action"] == ["s3:GetObject"]]
    store = prod.outputs["model_store"]
    assert [f"arn:aws:s3:::{store}/pets/*", f"arn:aws:s3:::{store}/api_keys/prod/*"] in readable


def test_what_is_let_in_reaches_the_policies_of_buckets_and_keys(apart):
    test = apart["test"]
    for name in ("models-policy", "data-lake-policy", "data-workspace-policy", "models-encryption", "models-signing"):
        kinds = ":BucketPolicy" if name.endswith("-policy") else "kms/key:Key"
        assert PROD_ACCOUNT in test.named(name, kinds).inputs["policy"], name


def test_the_names_of_endpoints_roles_begin_as_the_policies_say(apart, deployments):
    for stack in (*apart.values(), *deployments.values()):
        assert stack.named("endpoint-machine-role", "iam/role:Role").inputs.get("name") is None
