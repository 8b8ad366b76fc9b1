"""Conditions of policies, as AWS documents them."""

from tests.rehearsal.emulator_plugin.aws_case import LOGIC, MULTIVALUED, OPERATORS, Case, condition, statement, when

_TEAMS = ["Preprod", "Storage"]
_SIZES = {"NumericLessThanEquals": {"s3:max-keys": "10"}}
_BOTH = {
    "StringEquals": {"aws:PrincipalTag/a": ["1", "2"], "aws:PrincipalTag/b": "3"},
    "Bool": {"aws:SecureTransport": True},
}


def tags(**context: str) -> dict[str, str]:
    return {f"aws:principaltag/{key}": value for key, value in context.items()}


CONDITIONS = [
    condition(OPERATORS, "StringEquals minds case", when("StringEquals", "s3:prefix", "a"), False, s3__prefix="A"),
    condition(OPERATORS, "…IgnoreCase", when("StringEqualsIgnoreCase", "s3:prefix", "a"), True, s3__prefix="A"),
    condition(OPERATORS, "without wildcards", when("StringEquals", "s3:prefix", "a*"), False, s3__prefix="ab"),
    condition(OPERATORS, "StringLike has them", when("StringLike", "s3:prefix", "a*"), True, s3__prefix="ab"),
    condition(OPERATORS, "a missing key does not match", when("StringLike", "s3:prefix", "*"), False),
    condition(OPERATORS, "a missing key matches a negation", when("StringNotLike", "s3:prefix", "a*"), True),
    condition(OPERATORS, "ArnNotLike likewise", when("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::1:role/*"), True),
    condition(OPERATORS, "…IfExists without the key", when("StringLikeIfExists", "s3:prefix", "a*"), True),
    condition(OPERATORS, "…IfExists with it", when("StringLikeIfExists", "s3:prefix", "a*"), False, s3__prefix="b"),
    condition(OPERATORS, "Null true: without the key", when("Null", "aws:TokenIssueTime", "true"), True),
    condition(OPERATORS, "Null true: with it", when("Null", "s3:prefix", "true"), False, s3__prefix=""),
    condition(OPERATORS, "Null false: with it", when("Null", "s3:prefix", "false"), True, s3__prefix="a"),
    condition(OPERATORS, "Null false: without the key", when("Null", "s3:prefix", "false"), False),
    condition(OPERATORS, "Bool", when("Bool", "aws:SecureTransport", "true"), False, aws__SecureTransport="false"),
    condition(OPERATORS, "BoolIfExists", when("BoolIfExists", "aws:MultiFactorAuthPresent", "true"), True),
    condition(OPERATORS, "Numeric", statement("Allow", Condition=_SIZES), True, s3__max_keys="10"),
    condition(OPERATORS, "Numeric, beyond", statement("Allow", Condition=_SIZES), False, s3__max_keys="11"),
    condition(OPERATORS, "not numeric", statement("Allow", Condition=_SIZES), False, s3__max_keys="many"),
    condition(
        OPERATORS,
        "dates",
        when("DateGreaterThan", "aws:TokenIssueTime", "2020-01-01T00:00:01Z"),
        True,
        aws__TokenIssueTime="2026-01-01T00:00:00Z",
    ),
    condition(
        OPERATORS,
        "dates as seconds since the epoch",
        when("DateLessThan", "aws:CurrentTime", "1577836801"),
        False,
        aws__CurrentTime="2026-01-01T00:00:00Z",
    ),
    condition(OPERATORS, "BinaryEquals", when("BinaryEquals", "x:key", "QmluYXJ5"), True, x__key="QmluYXJ5"),
    condition(
        OPERATORS, "a network", when("IpAddress", "aws:SourceIp", "203.0.113.0/24"), True, aws__SourceIp="203.0.113.5"
    ),
    condition(
        OPERATORS, "outside", when("NotIpAddress", "aws:SourceIp", "203.0.113.0/24"), False, aws__SourceIp="203.0.113.5"
    ),
    condition(
        OPERATORS,
        "IPv6",
        when("IpAddress", "aws:SourceIp", ["203.0.113.0/24", "2001:DB8:1234:5678::/64"]),
        True,
        aws__SourceIp="2001:db8:1234:5678::9",
    ),
    condition(
        OPERATORS,
        "the parts of an ARN are compared one by one",
        when("ArnLike", "aws:SourceArn", "arn:aws:sns:*:123456789012:t*"),
        True,
        aws__SourceArn="arn:aws:sns:eu-west-1:123456789012:topic",
    ),
    condition(
        OPERATORS,
        "so a wildcard does not reach into the next",
        when("ArnEquals", "aws:SourceArn", "arn:aws:sns:*"),
        False,
        aws__SourceArn="arn:aws:sns:eu-west-1:123456789012:topic",
    ),
    Case(
        page=LOGIC,
        says="AND over operators and keys, OR over values",
        allowed=True,
        identity=(statement("Allow", Condition=_BOTH),),
        context=tags(a="2", b="3") | {"aws:securetransport": "true"},
    ),
    Case(
        page=LOGIC,
        says="AND over keys",
        allowed=False,
        identity=(statement("Allow", Condition=_BOTH),),
        context=tags(a="2", b="4") | {"aws:securetransport": "true"},
    ),
    Case(
        page=LOGIC,
        says="AND over operators",
        allowed=False,
        identity=(statement("Allow", Condition=_BOTH),),
        context=tags(a="2", b="3") | {"aws:securetransport": "false"},
    ),
    condition(LOGIC, "NOR: one of the values", when("StringNotEquals", "s3:prefix", ["a", "b"]), False, s3__prefix="b"),
    condition(LOGIC, "NOR of numbers", when("NumericNotEquals", "s3:max-keys", [1, 2]), False, s3__max_keys="1"),
    condition(LOGIC, "NOR: none of them", when("StringNotEquals", "s3:prefix", ["a", "b"]), True, s3__prefix="c"),
    condition(
        MULTIVALUED,
        "ForAllValues: every value matches one",
        when("ForAllValues:StringEquals", "aws:TagKeys", _TEAMS),
        True,
        aws__TagKeys=("Storage",),
    ),
    condition(
        MULTIVALUED,
        "ForAllValues: one does not",
        when("ForAllValues:StringEquals", "aws:TagKeys", _TEAMS),
        False,
        aws__TagKeys=("Storage", "Other"),
    ),
    condition(
        MULTIVALUED,
        "ForAllValues is true without the key",
        when("ForAllValues:StringEquals", "aws:TagKeys", _TEAMS),
        True,
    ),
    Case(
        page=MULTIVALUED,
        says="which Null prevents",
        allowed=False,
        identity=(
            statement(
                "Allow",
                Condition={"ForAllValues:StringEquals": {"aws:TagKeys": _TEAMS}, "Null": {"aws:TagKeys": "false"}},
            ),
        ),
    ),
    condition(
        MULTIVALUED,
        "ForAnyValue: one matches",
        when("ForAnyValue:StringLike", "aws:TagKeys", "Sto*"),
        True,
        aws__TagKeys=("Other", "Storage"),
    ),
    condition(
        MULTIVALUED,
        "ForAnyValue: none does",
        when("ForAnyValue:StringEquals", "aws:TagKeys", _TEAMS),
        False,
        aws__TagKeys=("Other",),
    ),
    condition(
        MULTIVALUED,
        "ForAnyValue is false without the key",
        when("ForAnyValue:StringEquals", "aws:TagKeys", _TEAMS),
        False,
    ),
    condition(
        MULTIVALUED,
        "ForAnyValue of a negation: one value that is none of them",
        when("ForAnyValue:StringNotEquals", "aws:TagKeys", _TEAMS),
        True,
        aws__TagKeys=("Other", "Storage"),
    ),
]
