"""The bucket settings that the registry depends on: versioning, the policy's denials, encryption, no public access.

The registry works without them: loosening one breaks no write, so only a check finds it.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from registry.errors import BucketUnguarded
from registry.store.s3_outcomes import outcomes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

type Statement = Mapping[str, Any]
type Conditions = Mapping[tuple[str, str], frozenset[str]]
"""(operator, key), both in lower case -> values."""

_UNSET = frozenset(
    {"NoSuchBucketPolicy", "NoSuchPublicAccessBlockConfiguration", "ServerSideEncryptionConfigurationNotFoundError"}
)
"""Error codes of S3 that mean: there is none."""

_DENIED = frozenset({"AccessDenied", "AllAccessDisabled"})
_NEGATED_ARN = frozenset({"arnnotequals", "arnnotlike", "stringnotequals", "stringnotlike"})
_PARTITION = re.compile(r"^arn:aws[a-z-]*:")
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@dataclass(frozen=True, kw_only=True)
class BucketCheck:
    """One guard; `error` says what was found instead. `expected` is for people."""

    name: str
    expected: str
    error: BucketUnguarded | None

    @property
    def ok(self) -> bool:
        """Whether it is in place."""
        return self.error is None


def examine(
    client: "S3Client", bucket: str, *, encryption_key: str | None = None, collector: str | None = None
) -> list[BucketCheck]:
    """Check each guard of `bucket`. What may not be read counts as missing, and is reported.

    `encryption_key`: ARN of the KMS key that objects must be encrypted with (None: any). `collector`: ARN of the one
    role that may delete (None: any one). A policy is read strictly: a refusal with one more condition than is known to
    be harmless holds only sometimes, which is not a guarantee. Raises StoreRefused (no such bucket), StoreUnavailable.
    """
    settings = _BucketSettings(client, bucket)

    def guard(name: str, expected: str, look: Callable[[], str | None]) -> BucketCheck:
        try:
            wrong = look()
        except _Unreadable as denied:
            wrong = f"nothing that this role may see ({denied} was refused)"
        error = None if wrong is None else BucketUnguarded(bucket, expected=expected, actual=wrong)
        return BucketCheck(name=name, expected=expected, error=error)

    return [
        guard("versions", "every revision kept", lambda: _versions(settings.versioning())),
        guard("create only", "a policy that refuses writes without If-None-Match", lambda: _creates(settings.policy)),
        guard(
            "deletion", "a policy that lets the collector alone delete", lambda: _deletes(settings.policy, collector)
        ),
        guard("plain HTTP", "a policy that refuses plain HTTP", lambda: _plain_http(settings.policy)),
        guard("encryption", _encrypted_by(encryption_key), lambda: _encryption(settings.encryption(), encryption_key)),
        guard("privacy", "public access blocked", lambda: _privacy(settings.public_access())),
    ]


# --- what S3 says --------------------------------------------------------------------------------------------------


class _Unreadable(Exception):
    """S3 refused to answer; `str()` names the request."""


@dataclass(frozen=True, kw_only=True)
class _Policy:
    """The refusals of a bucket policy that are about everybody."""

    bucket: str
    refusals: tuple[Statement, ...]

    def conditions(self, action: str) -> list[Conditions]:
        """The conditions of each refusal of `action` on every object of the bucket."""
        everything = {"*", "arn:aws:s3:::*", f"arn:aws:s3:::{self.bucket}/*", f"arn:aws:s3:::{self.bucket}*"}
        return [
            _conditions(statement)
            for statement in self.refusals
            if any(fnmatchcase(action.lower(), pattern.lower()) for pattern in _list(statement.get("Action")))
            and any(_PARTITION.sub("arn:aws:", pattern) in everything for pattern in _list(statement.get("Resource")))
        ]


class _BucketSettings:
    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def versioning(self) -> Any:
        return self._ask("get_bucket_versioning")

    def encryption(self) -> Any:
        return self._ask("get_bucket_encryption")

    def public_access(self) -> Any:
        return self._ask("get_public_access_block")

    @cached_property
    def policy(self) -> _Policy:
        answer = self._ask("get_bucket_policy")
        statements = _list(json.loads(answer["Policy"]).get("Statement") if answer else None)
        refusals = (found for found in statements if found.get("Effect") == "Deny" and _is_about_everybody(found))
        return _Policy(bucket=self._bucket, refusals=tuple(refusals))

    def _ask(self, operation: str) -> Any:
        with outcomes(f"call {operation} for bucket", self._bucket):
            try:
                return getattr(self._client, operation)(Bucket=self._bucket)
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code", "")
                if code in _UNSET:
                    return None
                if code in _DENIED:
                    raise _Unreadable(operation) from error
                raise


def _is_about_everybody(statement: Statement) -> bool:
    principal = statement.get("Principal")
    return principal == "*" or (isinstance(principal, Mapping) and "*" in _list(principal.get("AWS")))


def _conditions(statement: Statement) -> Conditions:
    return {
        (operator.lower(), key.lower()): frozenset(str(value).lower() for value in _list(values))
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    }


def _list(value: Any) -> list[Any]:
    """Policies leave out the brackets around a single value."""
    return value if isinstance(value, list) else [] if value is None else [value]


# --- what is wrong with it; None if nothing is ---------------------------------------------------------------------


def _versions(answer: Any) -> str | None:
    status = answer.get("Status")
    return None if status == "Enabled" else f"versioning {'never turned on' if status is None else status.lower()}"


def _creates(policy: _Policy) -> str | None:
    # A multipart upload sends If-None-Match when it is completed; the calls before that create nothing.
    wanted = {("null", "s3:if-none-match"): frozenset({"true"})}
    exempt = {("bool", "s3:objectcreationoperation"): frozenset({"true"})}
    found = policy.conditions("s3:PutObject")
    if any(conditions in (wanted, {**wanted, **exempt}) for conditions in found):
        return None
    about = any(("null", "s3:if-none-match") in conditions for conditions in found)
    return "one that refuses some of them only" if about else "none that does"


def _deletes(policy: _Policy, collector: str | None) -> str | None:
    missing = [
        action
        for action in ("s3:DeleteObject", "s3:DeleteObjectVersion")
        if not any(_spares_one(conditions, collector) for conditions in policy.conditions(action))
    ]
    whom = "others than the collector" if collector is None else f"others than {collector.rpartition(':')[2]}"
    return f"none that keeps {whom} from {' and '.join(missing)}" if missing else None


def _spares_one(conditions: Conditions, arn: str | None) -> bool:
    """Whether a refusal with these conditions is for everybody (without any), or for everybody but this one."""
    if not conditions:
        return True
    (operator, key), spared = next(iter(conditions.items()))
    alone = len(conditions) == 1 and operator in _NEGATED_ARN and key == "aws:principalarn"
    return (
        alone
        and len(spared) == 1
        and (spared == frozenset({arn.lower()}) if arn else not any(set("*?") & set(one) for one in spared))
    )


def _plain_http(policy: _Policy) -> str | None:
    insecure = {("bool", "aws:securetransport"): frozenset({"false"})}
    actions = ("s3:GetObject", "s3:PutObject")
    return None if all(insecure in policy.conditions(action) for action in actions) else "none that does"


def _encrypted_by(key: str | None) -> str:
    return "default encryption by KMS" + (f" with key {key.rpartition('/')[2]}" if key else "")


def _encryption(answer: Any, key: str | None) -> str | None:
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"] if answer else []
    defaults = [rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in rules]
    found = next((rule for rule in defaults if rule), None)
    if found is None:
        return "no default encryption"
    if found.get("SSEAlgorithm") != "aws:kms":
        return f"default encryption {found.get('SSEAlgorithm')}"
    used = found.get("KMSMasterKeyID")
    return None if key in (None, used) else f"key {used or 'aws/s3, which is not ours'}"


def _privacy(answer: Any) -> str | None:
    settings = answer["PublicAccessBlockConfiguration"] if answer else {}
    open_ = [name for name in _BLOCKS if not settings.get(name)]
    return f"{', '.join(open_)} not set" if open_ else None
