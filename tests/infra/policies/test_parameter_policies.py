"""Who may read and write API keys, and that nobody reaches a parameter."""

from hypothesis import given
from hypothesis import strategies as st

from infra import policies
from registry.layout.model_store import (
    api_keys_key,
    api_keys_prefix,
)
from registry.layout.roles import Role
from tests.infra.policies.roles import LOG, NAME, PLACES, allows, machines


def parameter(path: str) -> str:
    return f"arn:aws:ssm:eu-west-1:1:parameter{path}"


READS = ("ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:GetParameterHistory")


def state(stack: str, number: int = 1) -> str:
    return f"arn:aws:s3:::store/{api_keys_key(api_keys_prefix(stack), number)}"


@given(NAME, st.integers(1, 9_999_999), st.sampled_from(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]))
def test_an_endpoint_reads_the_api_keys_of_its_own_stack_and_changes_none(stack, number, action):
    document = policies.endpoint(PLACES, LOG, "prod")
    assert allows(document, action, state(stack, number)) == (stack == "prod" and action == "s3:GetObject")
    assert allows(document, "s3:GetObject", state("prod", number))


def test_an_endpoint_reads_exactly_its_own_keys():
    document = policies.endpoint(PLACES, LOG, "prod")
    assert allows(document, "s3:GetObject", state("prod"))
    for key in ("api_keys/prod2/00000001.json", "api_keys/test/00000001.json", "api_keys/prod", "cars/versions/1"):
        assert not allows(document, "s3:GetObject", f"arn:aws:s3:::store/{key}")


@given(NAME, st.integers(1, 9_999_999), st.sampled_from(list(Role)))
def test_the_promoter_alone_makes_and_revokes_api_keys_and_the_reader_sees_them(stack, number, role):
    document = policies.operator(role, PLACES)
    assert allows(document, "s3:PutObject", state(stack, number)) is (role is Role.PROMOTER)
    assert allows(document, "s3:GetObject", state(stack, number)) is (role in {Role.PROMOTER, Role.READER})
    assert not allows(document, "s3:DeleteObject", state(stack, number))
    assert not allows(document, "s3:PutObject", f"arn:aws:s3:::store/api_keys/{stack}/notes.txt")


@given(st.sampled_from(READS), st.text(max_size=20))
def test_the_shell_of_session_manager_reads_no_parameter(action, path):
    document = policies.session_manager()
    assert not allows(document, action, parameter(f"/{path}"))
    services = {entry.partition(":")[0] for s in document["Statement"] for entry in s["Action"]}
    assert services == {"ssm", "ssmmessages"}


@given(st.sampled_from(["s3:GetObject", "s3:PutObject"]))
def test_a_training_instance_knows_no_api_keys(action):
    assert not allows(policies.training(PLACES, LOG), action, state("prod"))


@given(st.sampled_from(list(Role)))
def test_nobody_reaches_a_parameter(role):
    documents = [*machines(), policies.operator(role, PLACES)]
    actions = [action for document in documents for each in document["Statement"] for action in each["Action"]]
    assert not [action for action in actions if action.startswith("ssm:")]
