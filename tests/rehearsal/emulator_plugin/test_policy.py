"""The evaluation itself, apart from any emulator."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy_evaluator import conditions, policy

Statement = dict[str, Any]


REQUESTER = policy.Principal(account="1", arns=frozenset({"arn:aws:iam::1:role/r"}))
ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
RESOURCES = ["arn:aws:s3:::b/a", "arn:aws:s3:::b/c/d", "arn:aws:s3:::other/a"]
PATTERNS = ["*", "arn:aws:s3:::b/*", "arn:aws:s3:::b/?", *RESOURCES]

statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Action": st.lists(st.sampled_from(["*", "s3:*", "S3:get*", *ACTIONS]), min_size=1, max_size=2),
        "Resource": st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2),
    },
    optional={"Condition": st.sampled_from([{"Null": {"s3:prefix": "true"}}, {"StringLike": {"s3:prefix": "p*"}}])},
)
requests = st.builds(
    lambda action, resource, context: policy.Request(action=action, resource=resource, context=context),
    st.sampled_from(ACTIONS),
    st.sampled_from(RESOURCES),
    st.sampled_from([{}, {"s3:prefix": "photos"}, {"s3:prefix": "other"}]),
)


def verdict(request: Any, *parts: Statement, version: str = "2012-10-17") -> str:
    judged: str = policy.evaluate(json.dumps({"Version": version, "Statement": list(parts)}), request, REQUESTER).name
    return judged


@given(st.lists(statements, min_size=1, max_size=4), requests)
def test_the_order_of_statements_does_not_matter(parts: list[Statement], request: Any) -> None:
    assert verdict(request, *parts) == verdict(request, *reversed(parts))


@given(st.lists(statements, min_size=1, max_size=4), requests)
def test_nothing_is_allowed_that_no_statement_allows(parts: list[Statement], request: Any) -> None:
    alone = [verdict(request, part) for part in parts]
    expected = "EXPLICIT_DENY" if "EXPLICIT_DENY" in alone else "ALLOWED" if "ALLOWED" in alone else "IMPLICIT_DENY"
    assert verdict(request, *parts) == expected


@given(st.lists(statements, min_size=1, max_size=4), requests)
def test_a_denial_of_everything_always_wins(parts: list[Statement], request: Any) -> None:
    assert verdict(request, *parts, {"Effect": "Deny", "Action": "*", "Resource": "*"}) == "EXPLICIT_DENY"


def matches(pattern: str, value: str) -> bool:
    found: bool = conditions.Pattern(text=pattern, variables=False).matches(value, {})
    return found


@given(st.text(), st.text())
def test_only_star_and_request_mark_are_wildcards(start: str, end: str) -> None:
    literal = start.replace("*", "").replace("?", "")
    assert matches(literal, literal)
    assert matches(f"{literal}*", literal + end)
    assert matches(literal, literal + end) == (end == "")
    assert not matches(f"{literal}?", literal)


@pytest.mark.parametrize(
    ("operator", "expected", "actual", "holds"),
    [
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", "a", None, True),
        ("StringLike", "p*s", "photos", True),
        ("StringNotLike", "p*s", "photos", False),
        ("ArnLike", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/r", True),
        ("ArnNotEquals", "arn:aws:iam::1:role/r", "arn:aws:iam::1:role/s", True),
        ("Bool", "false", "FALSE", True),
        ("Bool", True, "true", True),
        ("Bool", "true", None, False),
        ("Null", "true", None, True),
        ("Null", True, None, True),
        ("Null", "false", None, False),
        ("Null", "false", "x", True),
    ],
)
def test_a_condition_holds_as_aws_says(operator: str, expected: Any, actual: str | None, holds: bool) -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {"S3:Prefix": expected}}}
    context = {} if actual is None else {"s3:prefix": actual}
    request = policy.Request(action="s3:ListBucket", resource="arn:aws:s3:::b", context=context)
    assert verdict(request, statement) == ("ALLOWED" if holds else "IMPLICIT_DENY")


USER = {"aws:userid": "AIDA1", "aws:username": "anna"}
SESSION = {"aws:userid": "AROA1:anna"}


def assuming(operator: str, key: str, expected: str, context: dict[str, str], version: str = "2012-10-17") -> str:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {key: expected}}}
    request = policy.Request(action="sts:AssumeRole", resource="arn:aws:iam::1:role/r", context=context)
    return verdict(request, statement, version=version)


@pytest.mark.parametrize(
    ("operator", "key", "expected", "context", "holds"),
    [
        ("StringEquals", "sts:RoleSessionName", "${aws:username}", USER | {"sts:rolesessionname": "anna"}, True),
        ("StringEquals", "sts:RoleSessionName", "${aws:username}", USER | {"sts:rolesessionname": "ben"}, False),
        ("StringEquals", "sts:RoleSessionName", "${AWS:UserName}", USER | {"sts:rolesessionname": "anna"}, True),
        ("StringEquals", "sts:RoleSessionName", "${aws:username}", SESSION | {"sts:rolesessionname": "anna"}, False),
        ("StringLike", "aws:userid", "*:${sts:RoleSessionName}", SESSION | {"sts:rolesessionname": "anna"}, True),
        ("StringLike", "aws:userid", "*:${sts:RoleSessionName}", SESSION | {"sts:rolesessionname": "ann"}, False),
        ("StringLike", "aws:userid", "*:${sts:RoleSessionName}", SESSION | {"sts:rolesessionname": "*"}, False),
        ("StringLike", "aws:userid", "*:${sts:RoleSessionName}", USER | {"sts:rolesessionname": "anna"}, False),
        ("StringLike", "aws:userid", "*${sts:RoleSessionName}", SESSION, False),
        ("StringLike", "aws:userid", "*${aws:username}", SESSION | {"aws:username": ""}, False),
    ],
)
def test_a_variable_stands_for_its_value_and_without_one_nothing_holds(
    operator: str, key: str, expected: str, context: dict[str, str], holds: bool
) -> None:
    assert assuming(operator, key, expected, context) == ("ALLOWED" if holds else "IMPLICIT_DENY")


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("StringNotEquals", "${aws:username}"),
        ("StringEqualsIfExists", "${aws:username}"),
        ("NumericEquals", "${aws:username}"),
    ],
)
def test_what_aws_leaves_open_about_variables_is_not_evaluated(operator: str, value: str) -> None:
    with pytest.raises(conditions.Unsupported, match="variable"):
        assuming(operator, "sts:RoleSessionName", value, USER | {"sts:rolesessionname": "anna"})


@pytest.mark.parametrize("value", ["${aws:PrincipalTag/team}", "${aws:username"])
def test_a_variable_whose_value_the_rehearsal_does_not_know_is_refused(value: str) -> None:
    for element in ({"Resource": value}, {"Resource": "*", "Condition": {"StringEquals": {"s3:prefix": value}}}):
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", **element}]}
        with pytest.raises(conditions.Unsupported, match="variable"):
            policy.check(json.dumps(document))


def test_a_condition_on_a_key_that_the_rehearsal_does_not_know_is_not_evaluated() -> None:
    condition = {"StringEquals": {"aws:UserAgent": "x"}}
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": condition}
    with pytest.raises(conditions.Unsupported, match="aws:useragent"):
        verdict(policy.Request(action="s3:GetObject", resource="arn:x", complete=False), statement)
    assert verdict(policy.Request(action="sqs:SendMessage", resource="arn:x", complete=False), statement) != "ALLOWED"


@pytest.mark.parametrize(
    ("principal", "effect", "expected"),
    [
        ("*", "Allow", "ALLOWED"),
        ({"AWS": "*"}, "Allow", "ALLOWED"),
        ({"AWS": ["arn:aws:iam::1:role/r", "arn:aws:iam::2:root"]}, "Allow", "ALLOWED"),
        ({"AWS": "arn:aws:iam::1:role/other"}, "Allow", "IMPLICIT_DENY"),
        ({"AWS": "arn:aws:iam::1:root"}, "Allow", "DELEGATED"),
        ({"AWS": "1"}, "Allow", "DELEGATED"),
        ({"AWS": "arn:aws:iam::2:root"}, "Allow", "IMPLICIT_DENY"),
        ({"AWS": "arn:aws:iam::1:root"}, "Deny", "EXPLICIT_DENY"),
        ({"Service": "ec2.amazonaws.com"}, "Allow", "IMPLICIT_DENY"),
        ({"Service": "ec2.amazonaws.com"}, "Deny", "IMPLICIT_DENY"),
    ],
)
def test_a_statement_is_about_whom_it_names(principal: Any, effect: str, expected: str) -> None:
    request = policy.Request(action="s3:GetObject", resource="arn:aws:s3:::b/a", context={})
    statement = {"Effect": effect, "Principal": principal, "Action": "s3:GetObject", "Resource": "*"}
    assert verdict(request, statement) == expected


def test_a_resource_that_is_not_worked_out_is_denied_only_by_a_denial_of_all() -> None:
    request = policy.Request(action="ec2:RunInstances", resource=None, context={})
    assert verdict(request, {"Effect": "Allow", "Action": "ec2:*", "Resource": "arn:x"}) == "ALLOWED"
    assert verdict(request, {"Effect": "Deny", "Action": "ec2:*", "Resource": "arn:x"}) == "IMPLICIT_DENY"
    assert verdict(request, {"Effect": "Deny", "Action": "ec2:*", "Resource": "*"}) == "EXPLICIT_DENY"
