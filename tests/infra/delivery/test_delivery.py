"""The account's part of delivery: whom GitHub's tokens let in, what they may do, and what a used-up budget stops."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infra import policies
from infra.configuration.settings_reader import SettingsInvalid
from infra.delivery.settings import DeliverySettings, read
from infra.policies import AUDIENCE, GITHUB, Deploying, Document
from tests.infra.conftest import ACCOUNT, ROOT, Deployment, run_project, shipped
from tests.infra.documents import as_list, unknown_names
from tests.infra.test_calls import named, needed, operations

PROJECT = ROOT / "infra" / "delivery"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{GITHUB}"
STATE = {"petpark-delivery:state_bucket": "our-state", "petpark-delivery:alarm_email": "ops@park.example"}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    folder = tmp_path_factory.mktemp("delivery")
    others = {"petpark-delivery:stopped_roles": '["operators-publisher-0a1b2c3"]'}
    return run_project(PROJECT, "petpark-delivery", "account", shipped("account", PROJECT) | STATE | others, folder, {})


def settings(**changes: Any) -> DeliverySettings:
    config = shipped("account", PROJECT) | {f"petpark-delivery:{key}": value for key, value in changes.items()}
    return read(lambda key: config.get(f"petpark-delivery:{key}"), region="eu-west-1", namespace="petpark-delivery")


def lets_in(trust: Document, *, subject: str, audience: str = AUDIENCE) -> bool:
    """Whether a token of GitHub with these claims may take the role. AWS compares the claims with `StringEquals`."""
    (statement,) = trust["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    (operator,) = statement["Condition"]
    assert operator == "StringEquals"
    claims = {f"{GITHUB}:aud": audience, f"{GITHUB}:sub": subject}
    wanted = statement["Condition"][operator]
    assert set(wanted) == set(claims), "each claim is compared"
    return all(claims[key] in as_list(values) for key, values in wanted.items())


def trusts(account: Deployment) -> dict[str, Document]:
    return {
        resource.name: json.loads(resource.inputs["assumeRolePolicy"])
        for resource in account.resources
        if resource.type == "aws:iam/role:Role"
    }


def test_a_role_that_deploys_is_taken_only_by_a_job_of_its_environment(account: Deployment) -> None:
    trust = trusts(account)
    here = "repo:your-name/petpark"
    takers = {
        "delivery-deploy-test": {f"{here}:environment:test"},
        "delivery-deploy-prod": {f"{here}:environment:prod"},
        "delivery-preview": {f"{here}:pull_request", f"{here}:ref:refs/heads/main"},
    }
    subjects = {subject for expected in takers.values() for subject in expected}
    subjects |= {f"{here}:ref:refs/heads/x", f"{here}-2:environment:prod", "repo:other/petpark:environment:prod"}
    for role, expected in takers.items():
        assert {subject for subject in subjects if lets_in(trust[role], subject=subject)} == expected
        assert not lets_in(trust[role], subject=next(iter(expected)), audience="other.example")


@given(
    repository=st.from_regex(r"[a-z][a-z0-9-]{0,9}/[a-z][a-z0-9-]{0,9}", fullmatch=True),
    other=st.from_regex(r"[a-z][a-z0-9-]{0,9}/[a-z][a-z0-9-]{0,9}", fullmatch=True),
    environment=st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True),
    branch=st.text(min_size=1, max_size=20),
)
def test_no_other_repository_branch_or_environment_is_let_in(
    repository: str, other: str, environment: str, branch: str
) -> None:
    trust = policies.trust_github(PROVIDER, repository, [f"environment:{environment}"])
    assert lets_in(trust, subject=f"repo:{repository}:environment:{environment}")
    assert not lets_in(trust, subject=f"repo:{repository}:environment:{environment}-2")
    assert not lets_in(trust, subject=f"repo:{repository}:ref:refs/heads/{branch}")
    assert not lets_in(trust, subject=f"repo:{repository}:pull_request")
    assert lets_in(trust, subject=f"repo:{other}:environment:{environment}") == (other == repository)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("repository", "petpark"),
        ("repository", "park/pets:environment:prod"),
        ("repository", "park/*"),
        ("repository", "park/.."),
        ("branch", "*"),
        ("branch", "main:x"),
        ("monthly_usd", "{}"),
        ("monthly_usd", '{"test": "150"}'),
        ("monthly_usd", '{"test": 0}'),
        ("monthly_usd", '{"test": true}'),
        ("owner", "Test"),
        ("owner", "staging"),
        ("state_bucket", "s3://bucket"),
        ("alarm_email", "ops"),
        ("stopped_roles", '["arn:aws:iam::1:role/x"]'),
        ("stopped_roles", json.dumps([f"role-{number}" for number in range(100)])),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(key: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"petpark-delivery:{key}"):
        settings(**{key: value})


def test_repositories_are_named_with_and_without_immutable_ids() -> None:
    for repository in ("park/pets", "park@123456/pets@456789", "Park-1/p.e_t-s"):
        assert settings(repository=repository).repository == repository


def test_every_setting_is_described_and_has_a_value() -> None:
    described = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]
    given_ = {key.removeprefix("petpark-delivery:") for key in shipped("account", PROJECT) if "aws:" not in key}
    assert set(described) == given_
    assert all(about["description"].strip() for about in described.values())


def test_the_project_runs_in_the_environment_of_the_program() -> None:
    options = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["runtime"]["options"]
    program = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["runtime"]["options"]
    assert options["toolchain"] == program["toolchain"]
    assert (PROJECT / options["virtualenv"]).resolve() == (ROOT / program["virtualenv"]).resolve()


# --- what the roles may do ------------------------------------------------------------------------------------------


def deploying(stack: str = "test", *, owner: bool = True) -> Deploying:
    return Deploying(account=ACCOUNT, region="eu-west-1", stack=stack, owner=owner, state_bucket="our-state")


def actions(*documents: Document) -> set[str]:
    return {
        action
        for document in documents
        for statement in document["Statement"]
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    }


def test_no_action_is_a_pattern() -> None:
    every = (policies.preview(ACCOUNT, "eu-west-1", "our-state"), *policies.deploy(deploying()).values())
    assert not {action for action in actions(*every) if "*" in action or "?" in action}


def test_the_preview_role_changes_nothing_and_reads_no_data() -> None:
    allowed = actions(policies.preview(ACCOUNT, "eu-west-1", "our-state"))
    assert {action for action in allowed if not action.split(":")[1].startswith(("Describe", "Get", "List"))} == {
        "states:ValidateStateMachineDefinition"
    }
    for statement in policies.preview(ACCOUNT, "eu-west-1", "our-state")["Statement"]:
        if "s3:GetObject" in statement["Action"]:
            assert all(re.search("/(code|stacks|[.]pulumi)/", arn) for arn in statement["Resource"])


def test_only_the_owner_of_the_platform_creates_buckets_keys_and_operator_roles() -> None:
    owner, other = (policies.deploy(deploying(stack, owner=stack == "test")) for stack in ("test", "prod"))
    of_owner = actions(owner["platform"], owner["pipeline"])
    assert actions(*owner.values()) - actions(*other.values()) == of_owner - actions(*other.values())
    assert {"s3:CreateBucket", "kms:CreateKey", "states:CreateStateMachine"} <= of_owner
    changed = [each["Resource"] for each in other["roles"]["Statement"] if "iam:PutRolePolicy" in each["Action"]]
    names = ("actions-*", "endpoint-*")
    arns = [f"arn:aws:iam::{ACCOUNT}:{kind}/{name}" for name in names for kind in ("role", "instance-profile")]
    assert changed == [arns]


def test_no_role_of_delivery_can_change_a_role_of_delivery(account: Deployment) -> None:
    """Whoever deploys a stack lifts neither their own limits nor a budget's."""
    names = {resource.name for resource in account.resources if resource.type == "aws:iam/role:Role"}
    assert len(names) == 4
    roles = [f"arn:aws:iam::{ACCOUNT}:role/{name}-0a1b2c3" for name in names]
    for document in policies.deploy(deploying()).values():
        for statement in document["Statement"]:
            called = as_list(statement["Action"])
            assert not any(action.startswith("budgets:") for action in called)
            if any(re.match("iam:(?!Get|List)", action) for action in called):
                assert not [role for role in roles for arn in statement["Resource"] if fnmatchcase(role, arn)]


def test_every_role_and_bucket_of_the_program_has_a_name_that_the_deploying_role_may_create(
    deployments: dict[str, Deployment],
) -> None:
    fits = {
        "aws:iam/role:Role": policies.ROLES,
        "aws:iam/instanceProfile:InstanceProfile": policies.ROLES,
        "aws:s3/bucket:Bucket": policies.BUCKETS,
    }
    for deployment in deployments.values():
        for resource in deployment.resources:
            if names := fits.get(resource.type):
                assert resource.name.startswith(tuple(name.rstrip("*") for name in names)), resource.name


def test_managed_policies_are_no_longer_and_no_more_than_aws_takes() -> None:
    longest = Deploying(account=ACCOUNT, region="ap-southeast-1", stack="s" * 31, owner=True, state_bucket="b" * 63)
    granted = policies.deploy(longest)
    assert max(len(policies.as_json(document)) for document in granted.values()) <= 6_144
    assert len(granted) <= 9, "ten can be attached, and a used-up budget attaches one"


def test_every_call_after_the_update_is_one_that_the_deploying_role_may_make() -> None:
    """In that role `petpark deploy` reads back, `petpark state export` records, and `petpark teardown` looks around."""
    allowed = actions(*policies.deploy(deploying()).values())
    called = _called("petpark/delivery", "petpark/preview/recorded", "petpark/account/leftovers")
    assert {"describe_instance_refreshes", "get_log_events", "get_parameter", "list_roles"} <= set(called)
    assert {name for name, services in called.items() if not any(needs <= allowed for needs in services)} == set()


def _called(*paths: str) -> Mapping[str, list[set[str]]]:
    """boto3's methods in modules and packages; for each service that has it, the permissions that it needs."""
    files = [file for path in paths for file in sorted((ROOT / path).glob("*.py")) or [ROOT / f"{path}.py"]]
    names = {name for file in files for _, name in named(ast.parse(file.read_text()))}
    return {
        name: [{_NAMES.get(needs, needs) for needs in needed(action)} for action in operations()[name]]
        for name in names
        if name in operations()
    }


_NAMES = {"s3:ListBuckets": "s3:ListAllMyBuckets", "tagging:GetResources": "tag:GetResources"}
"""What `petpark.account.cloud` knows of names, too."""


# --- budgets --------------------------------------------------------------------------------------------------------


def test_each_stack_has_a_budget_by_its_tag_that_tells_before_it_stops(account: Deployment) -> None:
    for stack, usd in {"test": "150", "prod": "200"}.items():
        budget = account.named(f"budgets-{stack}", "aws:budgets/budget:Budget").inputs
        assert budget["limitAmount"] == usd
        assert budget["costFilters"] == [{"name": "TagKeyValue", "values": [f"user:petpark:stack${stack}"]}]
        told = {(each["notificationType"], each["threshold"]) for each in budget["notifications"]}
        assert ("FORECASTED", 100) in told
        assert any(kind == "ACTUAL" and percent < 100 for kind, percent in told)


def test_a_used_up_budget_denies_starting_to_those_who_start(account: Deployment) -> None:
    action = account.named("budgets-test-stop").inputs
    assert action["approvalModel"] == "AUTOMATIC"
    assert action["actionThreshold"] == {"actionThresholdType": "PERCENTAGE", "actionThresholdValue": 100}
    told = action["definition"]["iamActionDefinition"]
    assert told["roles"] == ["delivery-deploy-test-0a1b2c3", "operators-publisher-0a1b2c3"]
    assert (action["actionType"], action["notificationType"]) == ("APPLY_IAM_POLICY", "ACTUAL")
    (subscriber,) = action["subscribers"]
    assert subscriber == {"subscriptionType": "SNS", "address": f"arn:aws:sns:eu-west-1:{ACCOUNT}:budgets-alarms"}
    assert action["budgetName"] == account.named("budgets-test", "aws:budgets/budget:Budget").name + "-0a1b2c3"
    (denied,) = policies.start_nothing()["Statement"]
    assert denied["Effect"] == "Deny"
    assert "ec2:RunInstances" in denied["Action"]
    assert not [each for each in denied["Action"] if "Delete" in each or "Terminate" in each], "it can be taken down"


def test_the_acting_role_attaches_that_policy_to_those_roles_and_does_nothing_else(account: Deployment) -> None:
    policy = json.loads(account.named("budgets-acting", "RolePolicy").inputs["policy"])
    (statement,) = policy["Statement"]
    assert set(statement["Action"]) == {"iam:AttachRolePolicy", "iam:DetachRolePolicy"}
    assert len(statement["Resource"]) == 3
    assert not [arn for arn in statement["Resource"] if "*" in arn]
    assert list(statement["Condition"]["ArnEquals"]) == ["iam:PolicyARN"]


def test_every_part_of_an_input_has_a_name_that_the_provider_knows(account: Deployment) -> None:
    assert unknown_names(account) == set()


def test_someone_hears_of_the_budgets(account: Deployment) -> None:
    topic = account.named("budgets-alarms-policy").inputs
    (statement,) = json.loads(topic["policy"])["Statement"]
    assert statement["Principal"] == {"Service": "budgets.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    assert account.named("budgets-email").inputs["endpoint"] == "ops@park.example"


def test_everything_that_takes_tags_has_them(account: Deployment) -> None:
    for resource in account.resources:
        if "tags" in resource.inputs:
            assert resource.inputs["tags"]["petpark:project"] == "petpark-delivery", resource.name
