"""What can go wrong for an operator: every failure has a name, one sentence, and what to do next."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from petpark.refusals import REFUSALS

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

NOT_SO = 1
"""Exit code: the thing that was asked for is not so."""

ENVIRONMENT = 2
"""Exit code: bad usage, or something is missing around petpark."""

GATES_FAILED = 3
"""Exit code of `train --watch`: the job has trained and published a version, which failed gates."""

_PACKAGES = frozenset({"training", "imaging", "rehearsal", "serving", "camera"})
_AROUND = frozenset(
    {
        "AddressInUse",
        "DiskFull",
        "EmulatorFailed",
        "EmulatorLacks",
        "EmulatorMissing",
        "NoRoom",
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
"""Outcomes of the other rooms that are bad usage, or something missing around petpark."""

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"})
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})


class OperatorError(Exception):
    """A named outcome: `message` says what is (expected and actual), `next_step` what to do about it."""

    exit_code = ENVIRONMENT

    def __init__(self, message: str, *, next_step: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.facts = facts


class RehearsalNotRunning(OperatorError):
    """`--target rehearsal` without a rehearsal to talk to."""


class StackNotDeployed(OperatorError):
    """The stack that was named has no outputs."""


class RolesTogether(OperatorError):
    """Roles that are for two people were to be given to one."""


class CertificateTooLong(OperatorError):
    """A certificate was to be valid for longer than the owner of the registry allows."""


class StackOutdated(OperatorError):
    """The stack's outputs lack something that this petpark needs."""


class PulumiMissing(OperatorError):
    """The Pulumi CLI could not be found."""


class PulumiFailed(OperatorError):
    """The Pulumi CLI answered with an error, or not at all."""


class PullRequestUnknown(OperatorError):
    """No open pull request belongs to this run."""

    exit_code = NOT_SO


class CommentRefused(OperatorError):
    """GitHub does not take a pull request's comment."""


class PlanMoved(OperatorError):
    """The plan of a stack is not the one that was reviewed."""

    exit_code = NOT_SO


class PreviewUnreadable(OperatorError):
    """A file is not the output of `pulumi preview --json`, or of a version that petpark does not know."""


class InstallFailed(OperatorError):
    """Something could not be fetched or installed."""


class SettingsWrong(OperatorError):
    """A stack's YAML is missing, or says something that cannot be used."""


class JobFailed(OperatorError):
    """The job ended with a typed failure of its own."""

    exit_code = NOT_SO


class JobCancelled(OperatorError):
    """Somebody ended the job on purpose."""

    exit_code = NOT_SO


class StillRunning(OperatorError):
    """Somebody stopped watching what goes on without being watched."""

    exit_code = 130  # as shells have it for an interrupt


class VersionUnknown(OperatorError):
    """No version has this digest."""

    exit_code = NOT_SO


class ReasonMissing(OperatorError):
    """Something is recorded with its reason, and there is none."""


class IdAmbiguous(OperatorError):
    """More than one thing has an id that begins so."""


class LogMissing(OperatorError):
    """A job has said nothing that is kept."""

    exit_code = NOT_SO


class JobFinished(OperatorError):
    """The job already has a result; there is nothing left to resume."""

    exit_code = NOT_SO


class JobOfStudy(OperatorError):
    """The job is a study's trial, which only the study resumes, for only it knows what may be spent."""

    exit_code = NOT_SO


class StudyMissing(OperatorError):
    """No study has this id."""

    exit_code = NOT_SO


class StudyFinished(OperatorError):
    """The study has ended otherwise; there is nothing left to cancel."""

    exit_code = NOT_SO


class StudyCancelled(OperatorError):
    """Somebody ended the study on purpose."""

    exit_code = NOT_SO


class NothingLearned(OperatorError):
    """A study has ended, and none of its trials succeeded."""

    exit_code = NOT_SO


class BudgetTooSmall(OperatorError):
    """A study's budget does not suffice for a single trial."""


class JobInterrupted(OperatorError):
    """The job's instance ended before the job did."""

    exit_code = NOT_SO


class JobOverdue(OperatorError):
    """The job's instance is at work for longer than the job may take, and the job has no result."""

    exit_code = NOT_SO


class NoCapacity(OperatorError):
    """AWS has no capacity for the wanted instance types, in any zone, at the moment."""

    exit_code = NOT_SO


class QuotaReached(NoCapacity):
    """The account's quota does not allow that many of these instances; in new accounts it is often 0."""

    def __init__(self, message: str, *, next_step: str, quotas: Sequence[str], **facts: object) -> None:
        super().__init__(message, next_step=next_step, quotas=list(quotas), **facts)
        self.quotas = tuple(quotas)


class TooManyInstances(OperatorError):
    """A job was to have more instances than the stack lets train together."""


class GateLoosened(OperatorError):
    """A job was to ask less of its model than the stack does."""


class EndpointUnfit(OperatorError):
    """An endpoint does not answer as an endpoint of petpark does, or serves no model."""


class WeightsMissing(OperatorError):
    """Weights to start from were named, and are not there."""


class WeightsOfAnother(OperatorError):
    """Weights to start from are those of a network that the job does not train."""


class SourceClosed(OperatorError):
    """Photos, or their index, lie where the publisher's role may not read."""


class ChannelUnknown(OperatorError):
    """No stack declares the channel and it has no entry: most likely a typing error."""

    exit_code = NOT_SO


class ReportMissing(OperatorError):
    """A report was asked for, or a certificate needs one to point at, and there is none."""

    exit_code = NOT_SO


class QualityRefused(OperatorError):
    """A dataset does not pass the gates that its quality is held against."""

    exit_code = NOT_SO


class TorchMissing(OperatorError):
    """Something has to be learned from photos, and what learns is not installed here."""


class FileInTheWay(OperatorError):
    """A file would have to be overwritten, or cannot be written."""


class ConfirmationNeeded(OperatorError):
    """Something cannot be taken back, and nobody is there to be asked."""


class NotImplementedYet(OperatorError):
    """A way of saying something that petpark does not understand yet."""


@contextmanager
def unwatched(message: str, next_step: str) -> Generator[None]:
    """Turn Ctrl-C within the block into `StillRunning`: what goes on, and the commands for it."""
    try:
        yield
    except KeyboardInterrupt:
        raise StillRunning(message, next_step=next_step) from None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error as an operator reads it; `to_facts` is what `--json` prints."""

    outcome: str
    message: str
    next_step: str
    exit_code: int
    facts: Mapping[str, object] = field(default_factory=dict[str, object])

    def to_facts(self) -> dict[str, object]:
        """The same facts for a program."""
        error = {"outcome": self.outcome, "message": self.message, "next": self.next_step, **self.facts}
        return {"error": error}


def describe(error: Exception) -> Failure | None:
    """Name `error` for an operator; None for what petpark does not know (a bug, to be shown as one)."""
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
        return _no_way_to_aws(error)
    return _from_package(error)


def _from_package(error: Exception) -> Failure | None:
    """Outcomes of the other rooms carry their own sentences."""
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
        step = "Ask for the right to do it, or use an identity that has it; `petpark doctor` shows who you are."
        return _environment("AccessDenied", said, step)
    if known := REFUSALS.get(code):
        return _environment(known.outcome, f"{known.sentence} {said}", known.next_step)
    return _environment("RequestRefused", said, "Read the reason above; `petpark doctor --account` checks the account.")


def _no_way_to_aws(error: BotoCoreError) -> Failure:
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
    return _environment(type(error).__name__, str(error), "`petpark doctor` checks what is around petpark.")


def _environment(outcome: str, message: str, next_step: str) -> Failure:
    return Failure(outcome=outcome, message=message, next_step=next_step, exit_code=ENVIRONMENT)
