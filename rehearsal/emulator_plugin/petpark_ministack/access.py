"""Policy conditions as AWS evaluates them, as far as petpark's policies use them.

- `aws:PrincipalArn` of a role's session is the role's ARN. MiniStack takes the session's.
  https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
- `${aws:username}` and other policy variables stand for their values; one without a value fails the condition.
  https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
- `s3:if-none-match` and `s3:ObjectCreationOperation` describe a write. MiniStack does not know them.
  https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
- There is no TLS on loopback: `aws:SecureTransport` counts as true, as in LocalStack's plugin.
"""

import re
from functools import wraps
from typing import Any

VARIABLE = re.compile(r"\$\{([^}]*)\}")


def apply() -> None:
    """Change MiniStack's evaluation of conditions."""
    _resolve_keys_as_aws()
    _replace_variables()
    _describe_writes()


def _resolve_keys_as_aws() -> None:
    from ministack.core import iam_evaluator

    original = iam_evaluator._resolve_condition_key

    @wraps(original)
    def resolve(key: Any, ctx: Any) -> Any:
        if key.lower() == "aws:securetransport":
            return "true"
        value = original(key, ctx)
        if key.lower() == "aws:principalarn" and isinstance(value, str) and ":assumed-role/" in value:
            account, role = value.split(":")[4], value.split(":assumed-role/", 1)[1].split("/", 1)[0]
            return f"arn:aws:iam::{account}:role/{role}"
        return value

    iam_evaluator._resolve_condition_key = resolve


def _replace_variables() -> None:
    from ministack.core import iam_evaluator

    original = iam_evaluator._conditions_met

    @wraps(original)
    def conditions_met(conditions: Any, ctx: Any) -> Any:
        try:
            return original(_replaced(conditions, ctx), ctx)
        except LookupError:
            return False

    def _replaced(conditions: Any, ctx: Any) -> Any:
        def value_of(variable: re.Match[str]) -> str:
            value = iam_evaluator._resolve_condition_key(variable[1], ctx)
            if value is None:
                raise LookupError(variable[1])
            return str(value)

        def replaced(value: Any) -> Any:
            return VARIABLE.sub(value_of, value) if isinstance(value, str) else value

        return {
            operator: {
                key: [replaced(one) for one in value] if isinstance(value, list) else replaced(value)
                for key, value in keys.items()
            }
            for operator, keys in (conditions or {}).items()
        }

    iam_evaluator._conditions_met = conditions_met


def _describe_writes() -> None:
    from ministack.core import iam_actions

    original = iam_actions._s3_object_context

    @wraps(original)
    def object_context(iam_action: Any, query_params: Any, path: Any, headers: Any) -> Any:
        context = original(iam_action, query_params, path, headers)
        if iam_action == "s3:PutObject":
            part = "uploads" in query_params or "partNumber" in query_params
            context["s3:objectcreationoperation"] = "false" if part else "true"
            if headers.get("if-none-match"):
                context["s3:if-none-match"] = headers["if-none-match"]
        return context

    iam_actions._s3_object_context = object_context
