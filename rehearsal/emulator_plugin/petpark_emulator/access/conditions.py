"""Conditions and policy variables. No LocalStack in here.

Sources, below https://docs.aws.amazon.com/IAM/latest/UserGuide/: reference_policies_elements_condition_operators.html,
reference_policies_condition-single-vs-multi-valued-context-keys.html, reference_policies_variables.html
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any

type Context = Mapping[str, str | tuple[str, ...]]
"""Condition keys in lower case; the value of a multivalued key is a tuple."""

KEYS = frozenset(
    {
        "aws:principalarn",
        "aws:securetransport",
        "aws:userid",
        "aws:username",
        "cloudwatch:namespace",
        "ec2:createaction",
        "ec2:islaunchtemplateresource",
        "ec2:launchtemplate",
        "iam:passedtoservice",
        "iam:policyarn",
        "kms:messagetype",
        "kms:signingalgorithm",
        "kms:viaservice",
        "s3:if-none-match",
        "s3:objectcreationoperation",
        "s3:prefix",
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "sts:rolesessionname",
    }
)
"""Condition keys, in lower case, that `required` and `enforcement` give a value to wherever AWS does."""

KEY_FAMILIES = ("aws:requesttag/", "aws:resourcetag/", "ec2:resourcetag/", "kms:encryptioncontext:")

TOKEN = re.compile(r"\$\{([^}]*)\}|([*?])")
"""A policy variable or a wildcard."""


class Unsupported(Exception):
    """A policy uses something that is not evaluated here."""


class NoValue(Exception):
    """A variable has neither a value in the request nor a default: no statement that uses it applies."""


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A text of a policy. In documents before version 2012-10-17 variables are plain text."""

    text: str
    variables: bool = True

    def regex(self, context: Context, *, wildcards: bool) -> str:
        """As a regular expression; `*` and `?` are wildcards only with `wildcards`, and never in a variable's value."""
        parts: list[str] = []
        position = 0
        for token in TOKEN.finditer(self.text):
            parts.append(re.escape(self.text[position : token.start()]))
            if token[2] and wildcards:
                parts.append({"*": ".*", "?": "."}[token[2]])
            elif token[2] or not self.variables:
                parts.append(re.escape(token[0]))
            else:
                parts.append(re.escape(_value(token[1], context)))
            position = token.end()
        return "".join([*parts, re.escape(self.text[position:])])

    def matches(self, value: str, context: Context, *, wildcards: bool = True, flags: int = 0) -> bool:
        """Whether all of `value` fits."""
        return re.fullmatch(self.regex(context, wildcards=wildcards), value, re.DOTALL | flags) is not None

    def check(self) -> None:
        """Raise `Unsupported` for a variable whose value the rehearsal does not know."""
        if not self.variables:
            return
        names = [token[1] for token in TOKEN.finditer(self.text) if not token[2]]
        unknown = [name for name in names if name not in ("*", "?", "$") and not known(name.partition(",")[0])]
        if unknown or "${" in TOKEN.sub("", self.text):
            raise Unsupported(f"the policy variables of {self.text}")


def known(key: str) -> bool:
    """Whether the rehearsal gives condition key `key` its value."""
    return key.strip().lower() in KEYS or key.strip().lower().startswith(KEY_FAMILIES)


def _value(variable: str, context: Context) -> str:
    """What stands for `${variable}`: `${*}`, `${?}` and `${$}` are these characters, `${key, 'x'}` has a default."""
    if variable in ("*", "?", "$"):
        return variable
    key, _, default = variable.partition(",")
    value = context.get(key.strip().lower())
    if isinstance(value, str) and value:
        return value
    if quoted := re.fullmatch(r"'(.*)'", default.strip()):
        return quoted[1]
    raise NoValue(variable)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One operator, key and values, as `ForAnyValue:StringLikeIfExists`: set operator, operator, `if_exists`."""

    set_operator: str
    operator: str
    if_exists: bool
    key: str
    values: tuple[Pattern, ...]

    @classmethod
    def read(cls, operator: str, key: str, values: Sequence[Any], *, variables: bool) -> "Condition":
        """The condition in a document."""
        texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
        set_operator, _, name = operator.rpartition(":")
        return cls(
            set_operator=set_operator,
            operator=name.removesuffix("IfExists"),
            if_exists=name.endswith("IfExists"),
            key=key.lower(),
            values=tuple(Pattern(text=text, variables=variables) for text in texts),
        )

    def check(self) -> None:
        """Raise `Unsupported` if the rehearsal cannot evaluate this condition in every request."""
        self._check_operator()
        if not known(self.key):
            raise Unsupported(f"the condition key {self.key}")
        for value in self.values:
            value.check()

    def holds(self, context: Context) -> bool:
        """Whether it is true; raises `NoValue`, or `Unsupported` for an operator that is not evaluated."""
        self._check_operator()
        actual = context.get(self.key)
        if self.operator == "Null":
            return (actual is None or actual == ()) == any(value.text.lower() == "true" for value in self.values)
        test = partial(OPERATORS[self.operator], self.values, context)
        match self.set_operator, actual:
            case "", None:
                return self.if_exists or "Not" in self.operator
            case "", str():
                return test(actual)
            case "", _:
                raise Unsupported(f"the multivalued key {self.key} without ForAllValues or ForAnyValue")
            case "ForAllValues", _:
                return all(test(value) for value in _values(actual))
            case _:
                return (actual is None and self.if_exists) or any(test(value) for value in _values(actual))

    def _check_operator(self) -> None:
        if self.set_operator not in ("", "ForAllValues", "ForAnyValue") or (
            self.operator not in OPERATORS and (self.operator, self.if_exists) != ("Null", False)
        ):
            raise Unsupported(f"the condition operator {self.set_operator}:{self.operator}".replace(" :", " "))
        # AWS leaves open what a negated operator, or one with IfExists, makes of a variable without a value.
        if ("Not" in self.operator or self.if_exists or self.operator not in WITH_VARIABLES) and any(
            "${" in value.text and value.variables for value in self.values
        ):
            raise Unsupported(f"policy variables with the condition operator {self.operator}")


def _values(actual: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if actual is None else (actual,) if isinstance(actual, str) else actual


type Test = Callable[[Sequence[Pattern], Context, str], bool]


def _any(test: Callable[[Pattern, Context, str], bool]) -> Test:
    return lambda expected, context, actual: any(test(value, context, actual) for value in expected)


def _none(test: Callable[[Pattern, Context, str], bool]) -> Test:
    return lambda expected, context, actual: not any(test(value, context, actual) for value in expected)


def _equal(expected: Pattern, context: Context, actual: str) -> bool:
    return expected.matches(actual, context, wildcards=False)


def _equal_ignoring_case(expected: Pattern, context: Context, actual: str) -> bool:
    return expected.matches(actual, context, wildcards=False, flags=re.IGNORECASE)


def _like(expected: Pattern, context: Context, actual: str) -> bool:
    return expected.matches(actual, context)


def _arn(expected: Pattern, context: Context, actual: str) -> bool:
    """Each of the six parts by itself: a wildcard matches no colon before the last."""
    wanted, parts = expected.text.split(":", 5), actual.split(":", 5)
    pairs = zip(wanted, parts, strict=False)
    return len(wanted) == len(parts) == 6 and all(
        Pattern(text=part, variables=expected.variables).matches(value, context) for part, value in pairs
    )


def _same_truth(expected: Pattern, _context: Context, actual: str) -> bool:
    return expected.text.lower() == actual.lower()


def _in_network(expected: Pattern, _context: Context, actual: str) -> bool:
    return ip_address(actual) in ip_network(expected.text, strict=False)


def _compared[T](read: Callable[[str], T], test: Callable[[T, T], bool]) -> Callable[[Pattern, Context, str], bool]:
    """Numbers and dates; a value that is neither matches nothing."""

    def compare(expected: Pattern, _context: Context, actual: str) -> bool:
        try:
            return test(read(actual), read(expected.text))
        except ValueError:
            return False

    return compare


def _date(text: str) -> datetime:
    """ISO 8601, or seconds since the epoch; UTC unless it says otherwise."""
    if text.isdecimal():
        return datetime.fromtimestamp(int(text), UTC)
    date = datetime.fromisoformat(text)
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _comparisons(kind: str, read: Callable[[str], Any]) -> Mapping[str, Test]:
    return {
        f"{kind}Equals": _any(_compared(read, lambda a, b: a == b)),
        f"{kind}NotEquals": _none(_compared(read, lambda a, b: a == b)),
        f"{kind}LessThan": _any(_compared(read, lambda a, b: a < b)),
        f"{kind}LessThanEquals": _any(_compared(read, lambda a, b: a <= b)),
        f"{kind}GreaterThan": _any(_compared(read, lambda a, b: a > b)),
        f"{kind}GreaterThanEquals": _any(_compared(read, lambda a, b: a >= b)),
    }


OPERATORS: Mapping[str, Test] = {
    "StringEquals": _any(_equal),
    "StringNotEquals": _none(_equal),
    "StringEqualsIgnoreCase": _any(_equal_ignoring_case),
    "StringNotEqualsIgnoreCase": _none(_equal_ignoring_case),
    "StringLike": _any(_like),
    "StringNotLike": _none(_like),
    "ArnEquals": _any(_arn),
    "ArnLike": _any(_arn),
    "ArnNotEquals": _none(_arn),
    "ArnNotLike": _none(_arn),
    "Bool": _any(_same_truth),
    "BinaryEquals": _any(_equal),
    "IpAddress": _any(_in_network),
    "NotIpAddress": _none(_in_network),
    **_comparisons("Numeric", float),
    **_comparisons("Date", _date),
}
"""Each with `IfExists`, too; `Null` is apart, because it is about the key and not about its value."""

WITH_VARIABLES = frozenset({"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"})
"""Operators whose values may have variables."""
