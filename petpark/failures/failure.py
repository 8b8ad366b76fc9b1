"""Errors of all packages, of AWS and of the operating system, as operators see them."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from petpark.errors import ENVIRONMENT, NOT_SO, OperatorError
from petpark.failures.aws_errors import REFUSALS

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""`errno` values that mean that there is no space left for a file."""

_PACKAGES = frozenset({"training", "imaging", "monitoring", "rehearsal", "serving", "camera"})
_AROUND = frozenset(
    {
        "AddressInUse",
        "DiskFull",
        "EmulatorFailed",
        "EmulatorLacks",
        "EmulatorMissing",
        "PhotosUnreachable",
        "PortInUse",
        "ProviderChanged",
        "ProviderMissing",
        "RehearsalRunning",
        "SettingsInvalid",
        "SpecMalformed",
        "SpoolInUse",
        "SpoolUnusable",
    }
)
"""Errors of other packages that mean wrong usage or environment."""

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"})
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error as operators see it; `to_facts` is what `--json` prints."""

    outcome: str
    message: str
    next_step: str
    exit_code: int
    facts: Mapping[str, object] = field(default_factory=dict[str, object])

    def to_facts(self) -> dict[str, object]:
        """The same, for `--json`."""
        error = {"outcome": self.outcome, "message": self.message, "next": self.next_step, **self.facts}
        return {"error": error}


def describe(error: Exception) -> Failure | None:
    """Returns `error` as operators see it; None for an unknown error, which is a bug."""
    if isinstance(error, OperatorError):
        return Failure(
            outcome=type(error).__name__,
            message=error.message,
            next_step=error.next_step,
            exit_code=error.exit_code,
            facts=error.facts,
        )
    from botocore.exceptions import BotoCoreError, ClientError  # here: most commands start without AWS's libraries

    if isinstance(error, ClientError):
        return _refused_by_aws(error)
    if isinstance(error, BotoCoreError):
        return _unreachable_aws(error)
    if isinstance(error, OSError) and error.errno in FULL:
        return Failure(
            outcome="DiskFull",
            message=f"{error.filename or 'A file'} could not be written: {error.strerror}.",
            next_step="Free space (`df -h` shows which disk is full), then run the command again.",
            exit_code=ENVIRONMENT,
        )
    return _from_package(error)


def _from_package(error: Exception) -> Failure | None:
    """Errors of other packages have their own sentences."""
    from registry.errors import (
        ClockSkewed,
        KeyUnavailable,
        NameRefused,
        RegistryError,
        StoreRefused,
        StoreUnavailable,
    )

    if isinstance(error, RegistryError):
        around = isinstance(error, ClockSkewed | KeyUnavailable | NameRefused | StoreRefused | StoreUnavailable)
        return Failure(
            outcome=error.outcome,
            message=f"expected {error.expected}; found {error.actual}.",
            next_step=error.next,
            exit_code=ENVIRONMENT if around else NOT_SO,
            facts={"expected": error.expected, "actual": error.actual},
        )
    if type(error).__module__.partition(".")[0] in _PACKAGES:
        name = type(error).__name__
        return Failure(
            outcome=name, message=str(error), next_step="", exit_code=ENVIRONMENT if name in _AROUND else NOT_SO
        )
    return None


def _refused_by_aws(error: ClientError) -> Failure:
    details = error.response.get("Error", {})
    code = details.get("Code", "unknown")
    said = f"AWS refused {error.operation_name}: {code}, {details.get('Message', 'without a reason')}"
    if code in _EXPIRED:
        return _environment("CredentialsExpired", said, "Sign in again (aws sso login), then run the command again.")
    if code in DENIED:
        step = "Request the permission, or use an identity that has it; `petpark doctor` shows yours."
        return _environment("AccessDenied", said, step)
    if known := REFUSALS.get(code):
        return _environment(known.outcome, f"{known.sentence} {said}", known.next_step)
    return _environment("RequestRefused", said, "See the reason above; `petpark doctor --account` checks the account.")


def _unreachable_aws(error: BotoCoreError) -> Failure:
    from botocore.exceptions import (
        ConnectionError,
        NoCredentialsError,
        NoRegionError,
        ProfileNotFound,
        TokenRetrievalError,
    )

    if isinstance(error, NoCredentialsError | TokenRetrievalError | ProfileNotFound):
        return _environment(
            "CredentialsMissing",
            f"No AWS credentials: {error}",
            "Sign in (aws configure, or aws sso login), then `petpark doctor`.",
        )
    if isinstance(error, NoRegionError):
        return _environment("RegionMissing", str(error), "Set AWS_REGION, or `aws configure set region REGION`.")
    if isinstance(error, ConnectionError):
        return _environment(
            "Unreachable",
            f"No connection: {error}",
            "Check the network; for a rehearsal: `petpark rehearse --keep` starts one.",
        )
    return _environment(type(error).__name__, str(error), "`petpark doctor` checks the environment.")


def _environment(outcome: str, message: str, next_step: str) -> Failure:
    return Failure(outcome=outcome, message=message, next_step=next_step, exit_code=ENVIRONMENT)
