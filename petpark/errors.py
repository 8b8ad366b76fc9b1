"""Errors that operators see: each with a name, one sentence, and the next step."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from petpark.refusals import REFUSALS

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

NOT_SO = 1
"""Exit code: the command ran, and the answer is no, or the operation failed."""

ENVIRONMENT = 2
"""Exit code: wrong usage or environment."""

GATES_FAILED = 3
"""Exit code of `train --watch`: the version was published and failed gates."""

_PACKAGES = frozenset({"training", "imaging", "monitoring", "rehearsal", "serving", "camera"})
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
"""Errors of other packages that mean wrong usage or environment."""

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"})
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})


class OperatorError(Exception):
    """A named outcome: `message` states what was expected and found, `next_step` what to do about it."""

    exit_code = ENVIRONMENT

    def __init__(self, message: str, *, next_step: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.facts = facts


class RehearsalNotRunning(OperatorError):
    """`--target rehearsal`, and no rehearsal is running."""


class StackNotDeployed(OperatorError):
    """The stack has no outputs."""


class RolesTogether(OperatorError):
    """One person would get roles that two people must have."""


class CertificateTooLong(OperatorError):
    """The requested validity of a certificate exceeds the maximum."""


class StackOutdated(OperatorError):
    """The stack's outputs lack something that this petpark needs."""


class PulumiMissing(OperatorError):
    """The Pulumi CLI could not be found."""


class PulumiFailed(OperatorError):
    """The Pulumi CLI failed or did not answer."""


class PullRequestUnknown(OperatorError):
    """No open pull request belongs to this run."""

    exit_code = NOT_SO


class CommentRefused(OperatorError):
    """GitHub did not accept a pull request's comment."""


class PlanMoved(OperatorError):
    """The plan of a stack is not the one that was reviewed."""

    exit_code = NOT_SO


class ReviewMissing(OperatorError):
    """Nobody has reviewed a plan of the stack for this commit."""

    exit_code = NOT_SO


class NotAsDeployed(OperatorError):
    """After `pulumi up`, something else answers than what it deployed, or nothing."""

    exit_code = NOT_SO


class NotEmpty(OperatorError):
    """A stack was destroyed, and something of it is left."""

    exit_code = NOT_SO


class PreviewUnreadable(OperatorError):
    """A file is not the output of `pulumi preview --json`, or of a version that petpark does not know."""


class RecordUnreadable(OperatorError):
    """A file is neither a stack's exported state nor a record of one, or of a version that petpark does not know."""


class RecordIncomplete(OperatorError):
    """The program did not declare the whole stack, so its record would not answer what the next change asks."""

    exit_code = NOT_SO


class InstallFailed(OperatorError):
    """A download or an installation failed."""


class SettingsWrong(OperatorError):
    """A stack's YAML file is missing or invalid."""


class JobFailed(OperatorError):
    """The job failed with a named error."""

    exit_code = NOT_SO


class JobCancelled(OperatorError):
    """The job was cancelled."""

    exit_code = NOT_SO


class StillRunning(OperatorError):
    """Watching was stopped; what was watched continues."""

    exit_code = 130  # as shells have it for an interrupt


class ReferenceUnfit(OperatorError):
    """A reference cannot be read, or recorded predictions cannot be compared with it."""


class PredictionNotFound(OperatorError):
    """No recorded prediction has this id."""

    exit_code = NOT_SO


class VersionUnknown(OperatorError):
    """No version has this digest."""

    exit_code = NOT_SO


class ReasonMissing(OperatorError):
    """A reason is required."""


class IdAmbiguous(OperatorError):
    """The prefix of an id is ambiguous."""


class LogMissing(OperatorError):
    """The job has no log."""

    exit_code = NOT_SO


class JobFinished(OperatorError):
    """The job has already ended, so it cannot be resumed or cancelled."""

    exit_code = NOT_SO


class JobOfStudy(OperatorError):
    """The job is a trial of a study; only the study can resume it, within its budget."""

    exit_code = NOT_SO


class StudyMissing(OperatorError):
    """No study has this id."""

    exit_code = NOT_SO


class StudyFinished(OperatorError):
    """The study has already ended, so it cannot be cancelled."""

    exit_code = NOT_SO


class StudyCancelled(OperatorError):
    """The study was cancelled."""

    exit_code = NOT_SO


class NothingLearned(OperatorError):
    """The study has ended without a successful trial."""

    exit_code = NOT_SO


class BudgetTooSmall(OperatorError):
    """The study's budget is too small for one trial."""


class JobInterrupted(OperatorError):
    """The job's instance ended before the job did."""

    exit_code = NOT_SO


class JobOverdue(OperatorError):
    """The job has exceeded its time limit and has no result."""

    exit_code = NOT_SO


class PipelineMissing(OperatorError):
    """No execution of the pipeline has this name."""

    exit_code = NOT_SO


class PipelineNotStarted(OperatorError):
    """The pipeline's trigger refused its input, or did not answer."""

    exit_code = NOT_SO


class PipelineRunning(OperatorError):
    """The pipeline has not ended, so it cannot be run again."""

    exit_code = NOT_SO


class NoCapacity(OperatorError):
    """AWS has no capacity for these instance types in any zone now."""

    exit_code = NOT_SO


class QuotaReached(NoCapacity):
    """The account's quota is too small; in new accounts it is often 0."""

    def __init__(self, message: str, *, next_step: str, quotas: Sequence[str], **facts: object) -> None:
        super().__init__(message, next_step=next_step, quotas=list(quotas), **facts)
        self.quotas = tuple(quotas)


class TooManyInstances(OperatorError):
    """More instances were requested than the stack allows per job."""


class GateLoosened(OperatorError):
    """A requested gate is looser than the stack's."""


class EndpointUnfit(OperatorError):
    """The URL is not a petpark endpoint, or the endpoint serves no model."""


class WeightsMissing(OperatorError):
    """The initial weights do not exist."""


class WeightsOfAnother(OperatorError):
    """The initial weights belong to another network."""


class SourceClosed(OperatorError):
    """The publisher's role may not read the photos or their index."""


class ChannelUnknown(OperatorError):
    """No stack declares the channel and it has no entries; probably a typo."""

    exit_code = NOT_SO


class ReportMissing(OperatorError):
    """A required report does not exist."""

    exit_code = NOT_SO


class QualityRefused(OperatorError):
    """The dataset fails its quality gates."""

    exit_code = NOT_SO


class TorchMissing(OperatorError):
    """PyTorch is required and not installed."""


class FileInTheWay(OperatorError):
    """A file exists already, or cannot be written."""


class ConfirmationNeeded(OperatorError):
    """The operation needs confirmation, and there is no terminal to ask on."""


@contextmanager
def unwatched(message: str, next_step: str) -> Generator[None]:
    """Turn Ctrl-C within the block into `StillRunning`, with what continues and the commands for it."""
    try:
        yield
    except KeyboardInterrupt:
        raise StillRunning(message, next_step=next_step) from None


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
        return _no_way_to_aws(error)
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
    return _environment(type(error).__name__, str(error), "`petpark doctor` checks the environment.")


def _environment(outcome: str, message: str, next_step: str) -> Failure:
    return Failure(outcome=outcome, message=message, next_step=next_step, exit_code=ENVIRONMENT)
