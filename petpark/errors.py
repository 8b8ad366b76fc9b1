"""Errors that operators see: each with a name, one sentence, and the next step."""

from collections.abc import Generator
from contextlib import contextmanager

NOT_SO = 1
"""Exit code: the command ran, and the answer is no, or the operation failed."""

ENVIRONMENT = 2
"""Exit code: wrong usage or environment."""

GATES_FAILED = 3
"""Exit code of `train --watch`: the version was published and failed gates."""


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
    """The plan of a stack is not the reviewed one."""

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


class LabelsRefused(OperatorError):
    """A sample cannot be drawn, does not exist, or its labels cannot be exported."""

    exit_code = NOT_SO


class PortTaken(OperatorError):
    """The page's port cannot be used."""


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


class StudyRunning(OperatorError):
    """The study is still running, so this has to wait for its end."""

    exit_code = NOT_SO


class NothingLearned(OperatorError):
    """The study has ended without a successful trial."""

    exit_code = NOT_SO


class BudgetTooSmall(OperatorError):
    """The study's budget is too small for one trial."""


class JobInterrupted(OperatorError):
    """The job's instance ended before the job did."""

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
