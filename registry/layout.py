"""The names that `infra` and the code share: environment variables, object keys, and who may write where.

Nothing here knows a cloud or a library: `infra` derives permissions from this page, `registry`, `training` and
`serving` derive keys from it, so a key cannot be written where no role was allowed to write it.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Variable(StrEnum):
    """Environment variables that carry names from `infra` to the entry points."""

    MODEL_STORE = "PETPARK_MODEL_STORE"
    DATA_LAKE = "PETPARK_DATA_LAKE"
    WORKSPACE = "PETPARK_WORKSPACE"
    MODEL = "PETPARK_MODEL"
    CHANNEL = "PETPARK_CHANNEL"
    SIGNING_KEY = "PETPARK_SIGNING_KEY"
    REQUIRE_CERTIFICATE = "PETPARK_REQUIRE_CERTIFICATE"
    LOG_GROUP = "PETPARK_LOG_GROUP"
    HOST = "PETPARK_HOST"
    PORT = "PETPARK_PORT"
    POLL_SECONDS = "PETPARK_POLL_SECONDS"
    SLOW_MILLISECONDS = "PETPARK_SLOW_MILLISECONDS"
    API_KEYS = "PETPARK_API_KEYS"
    API_KEYS_PREFIX = "PETPARK_API_KEYS_PREFIX"
    GRPC_PORT = "PETPARK_GRPC_PORT"
    HEALTH_PORT = "PETPARK_HEALTH_PORT"
    BEHIND_LOAD_BALANCER = "PETPARK_BEHIND_LOAD_BALANCER"
    PROVIDERS = "PETPARK_PROVIDERS"
    CAMERAS = "PETPARK_CAMERAS"
    PROMOTER_ROLE = "PETPARK_PROMOTER_ROLE"
    CHANNEL_RULE = "PETPARK_CHANNEL_RULE"
    STACK = "PETPARK_STACK"
    TELEMETRY = "PETPARK_TELEMETRY"
    OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
    JOB = "PETPARK_JOB"
    HOME = "PETPARK_HOME"
    PYTHON = "PETPARK_PYTHON"
    PROCESSES = "PETPARK_PROCESSES"
    ATTEMPT = "PETPARK_ATTEMPT"
    HEARTBEAT_SECONDS = "PETPARK_HEARTBEAT_SECONDS"
    MEETING = "PETPARK_MEETING"


JOB_TAG = "petpark:job"
"""Tag of a training instance: the id of the job that it runs."""

ATTEMPT_TAG = "petpark:attempt"
"""Tag of a job's instance: which attempt at the job it is, `<name of the job's execution>.<number>`."""

EXECUTION_TAG = "petpark:execution"
"""Tag of a job's instance: ARN of the execution that waits for it."""

DEADLINE_TAG = "petpark:deadline"
"""Tag of a job's instance: the second since 1970 after which the janitor ends it."""

LAUNCH_TAG = "petpark:launch"
"""Tag of an instance that a study started: the study's id and the number in its ledger."""


# --- workspace: code bundles, jobs, checkpoints, studies -----------------------------------------------------------

CODE = "code/"
JOBS = "jobs/"


def code_key(stack: str, sha256: str) -> str:
    """Key of the code bundle that `stack` runs; each stack uploads its own, named by its content."""
    return f"{code_prefix(stack)}{sha256}.zip"


def code_prefix(stack: str) -> str:
    """All code bundles of one stack."""
    return f"{CODE}{stack}/"


def job_prefix(job: str) -> str:
    """Everything that belongs to one job."""
    return f"{JOBS}{job}/"


def job_spec_key(job: str) -> str:
    """The job's spec."""
    return f"{job_prefix(job)}spec.json"


def job_order_key(job: str) -> str:
    """What the job is for: its purpose and inputs, as the starter of the job wrote them."""
    return f"{job_prefix(job)}order.json"


def attempts_of_job_prefix(job: str) -> str:
    """Tokens and launches of the job's attempts."""
    return f"{job_prefix(job)}attempts/"


def boot_token_key(job: str, attempt: str) -> str:
    """The task token that a worker answers when it has started: `docs/design/pipeline.md`."""
    return f"{job_prefix(job)}attempts/{attempt}/boot.json"


def job_launch_key(job: str, attempt: str) -> str:
    """What EC2 Fleet answered to one attempt: instances, and errors."""
    return f"{job_prefix(job)}attempts/{attempt}/launch.json"


def run_token_key(job: str, attempt: str) -> str:
    """The task token that a worker answers when the job has ended."""
    return f"{job_prefix(job)}attempts/{attempt}/run.json"


def job_result_key(job: str) -> str:
    """The job's result."""
    return f"{job_prefix(job)}result.json"


def epochs_prefix(job: str) -> str:
    """The job's metrics, one object per epoch."""
    return f"{job_prefix(job)}epochs/"


def epoch_key(job: str, epoch: int) -> str:
    """Measurements of one epoch, counted from 1."""
    return f"{epochs_prefix(job)}{epoch:06d}.json"


def progress_prefix(job: str) -> str:
    """Progress of stages other than epochs."""
    return f"{job_prefix(job)}progress/"


def progress_key(job: str, stage: int, done: int) -> str:
    """One such record, by stage, counted from 0, and amount done, so that they sort in time."""
    return f"{progress_prefix(job)}{stage:02d}-{done:08d}.json"


def fallback_key(job: str) -> str:
    """Why the job trains with other settings than requested; a resumed job does the same."""
    return f"{job_prefix(job)}fallback.json"


def machines_prefix(job: str) -> str:
    """The machines that worked on the job, in the order in which they began."""
    return f"{job_prefix(job)}machines/"


def machine_key(job: str, number: int) -> str:
    """What one machine was, counted from 1."""
    return f"{machines_prefix(job)}{number:06d}.json"


def checkpoints_prefix(job: str) -> str:
    """The job's checkpoints, ascending by step."""
    return f"{job_prefix(job)}checkpoints/"


def checkpoint_key(job: str, step: int) -> str:
    """One checkpoint, counted from 1."""
    return f"{checkpoints_prefix(job)}{step:06d}.pt"


def meeting_key(job: str, launch: str) -> str:
    """Where the first of several instances that were launched together listens to the others."""
    return f"{job_prefix(job)}meetings/{launch}.json"


def attempts_prefix(job: str) -> str:
    """EC2's responses to launches for the job, by launch and pool."""
    return f"{job_prefix(job)}launches/"


def attempt_key(job: str, launch: str, number: int, instance_type: str, zone: str) -> str:
    """EC2's response for one pool of a launch, counted from 1."""
    return f"{attempts_prefix(job)}{launch}/{number:06d}-{instance_type}-{zone}.json"


BOOTS = "boots/"


def boot_logs_prefix(job: str) -> str:
    """The boot logs of instances that failed."""
    return f"{job_prefix(job)}{BOOTS}"


def boot_log_key(job: str, instance: str) -> str:
    """The boot log of one of them."""
    return f"{boot_logs_prefix(job)}{instance}.log"


def validation_key(job: str) -> str:
    """What the job of a study's trial answered on the validation photos."""
    return f"{job_prefix(job)}validation.json"


STACKS = "stacks/"
PIPELINES = "pipelines/"
SPENDING = "spending/"


def stack_outputs_key(stack: str) -> str:
    """A stack's outputs, for workers: they have no access to Pulumi's state."""
    return f"{STACKS}{stack}.json"


def pipeline_prefix(execution: str) -> str:
    """Everything that belongs to one execution of the pipeline, except its jobs."""
    return f"{PIPELINES}{execution}/"


def certification_key(execution: str) -> str:
    """The task token with which the pipeline waits for a certification, and what is to be certified."""
    return f"{pipeline_prefix(execution)}certification.json"


def spending_prefix(month: str) -> str:
    """What jobs of a month (YYYY-MM, UTC) reserved or cost."""
    return f"{SPENDING}{month}/"


STUDIES = "studies/"


def study_prefix(study: str) -> str:
    """Everything that belongs to one study, except its trials' jobs."""
    return f"{STUDIES}{study}/"


def study_key(study: str) -> str:
    """The study's space and budget."""
    return f"{study_prefix(study)}study.json"


def study_weights_key(study: str) -> str:
    """Initial weights of all trials of a study."""
    return f"{study_prefix(study)}initial.pt"


def trial_job(study: str, trial: int) -> str:
    """Id of the job of one trial."""
    return f"{study}-{trial:06d}"


def launch_token(study: str, number: int) -> str:
    """What an instance bears that a study started: the number in its ledger. EC2 takes at most 64 characters."""
    return f"{study}-{number:06d}"


def trials_prefix(study: str) -> str:
    """The study's trials."""
    return f"{study_prefix(study)}trials/"


def trial_key(study: str, trial: int) -> str:
    """The settings of one trial, counted from 1."""
    return f"{trials_prefix(study)}{trial:06d}.json"


def launches_prefix(study: str) -> str:
    """The log of instances launched for the study's trials."""
    return f"{study_prefix(study)}launches/"


def launch_key(study: str, number: int) -> str:
    """One of them, counted from 1 over all trials."""
    return f"{launches_prefix(study)}{number:06d}.json"


def refused_prefix(study: str) -> str:
    """Launches that failed for lack of capacity."""
    return f"{study_prefix(study)}refused/"


def refused_key(study: str, number: int) -> str:
    """One of them."""
    return f"{refused_prefix(study)}{number:06d}.json"


def cancelled_key(study: str) -> str:
    """Who cancelled the study, and why: from then on its drivers launch nothing and end what runs."""
    return f"{study_prefix(study)}cancelled.json"


def table_key(study: str) -> str:
    """The study's result: all trials, metrics and costs."""
    return f"{study_prefix(study)}table.json"


# --- data lake: photos and manifests -------------------------------------------------------------------------------

PHOTOS = "photos/"
DATASETS = "datasets/"


def photo_key(sha256: str) -> str:
    """A photo, named by its content."""
    return f"{PHOTOS}sha256/{sha256}"


def manifest_key(sha256: str) -> str:
    """A dataset manifest, named by its content."""
    return f"{DATASETS}{sha256}.jsonl"


def changes_prefix(dataset: str) -> str:
    """Records of a dataset's changes: who changed what, and why."""
    return f"{DATASETS}{dataset}.changes/"


def change_key(dataset: str, sha256: str) -> str:
    """One such record, named by its content."""
    return f"{changes_prefix(dataset)}{sha256}.json"


EVENTS = "events/"
EVENT_PICTURES = "event-pictures/"
"""A separate prefix, so that pictures expire earlier than events."""


def events_prefix(camera: str, day: str) -> str:
    """All events of a camera on `day` (YYYY-MM-DD, UTC)."""
    return f"{EVENTS}{camera}/{day}/"


def event_key(camera: str, day: str, event: str) -> str:
    """One event, named by its random id."""
    return f"{events_prefix(camera, day)}{event}.json"


def event_picture_key(camera: str, day: str, event: str) -> str:
    """The small picture that goes with an event."""
    return f"{EVENT_PICTURES}{camera}/{day}/{event}.jpg"


def ingestions_prefix(dataset: str) -> str:
    """Records of what ingestions left out of a dataset, and why."""
    return f"{DATASETS}{dataset}.ingestions/"


def ingestion_key(dataset: str, sha256: str) -> str:
    """One such record, named by its content."""
    return f"{ingestions_prefix(dataset)}{sha256}.json"


def quality_prefix(dataset: str) -> str:
    """The reports on a dataset's quality, oldest first."""
    return f"{DATASETS}{dataset}.quality/"


def quality_key(dataset: str, number: int, kind: str) -> str:
    """The `number`-th report, counted from 1: for programs (`json`), or for people (`html`)."""
    return f"{quality_prefix(dataset)}{number:06d}.{kind}"


# --- model store: the registry -------------------------------------------------------------------------------------


class Prefix(StrEnum):
    """The kinds of object in a model's registry; each has one writer."""

    BLOBS = "blobs"
    VERSIONS = "versions"
    CERTIFICATES = "certificates"
    CHANNELS = "channels"
    EXPERIMENTS = "experiments"
    REPAIRS = "repairs"


def object_prefix(model: str, shelf: Prefix) -> str:
    """Prefix of all objects of one kind."""
    return f"{model}/{shelf}/"


def blob_key(model: str, sha256: str) -> str:
    """A file of some version, named by its content."""
    return f"{object_prefix(model, Prefix.BLOBS)}sha256/{sha256}"


def version_key(model: str, number: int) -> str:
    """The `number`-th version, counted from 1."""
    return f"{object_prefix(model, Prefix.VERSIONS)}{number:08d}.json"


def certificates_prefix(model: str, version: int) -> str:
    """The log of decisions about one version."""
    return f"{object_prefix(model, Prefix.CERTIFICATES)}{version:08d}/"


def certificate_key(model: str, version: int, number: int) -> str:
    """The `number`-th decision about a version, counted from 1."""
    return f"{certificates_prefix(model, version)}{number:08d}.json"


def channel_prefix(model: str, channel: str) -> str:
    """The log of a channel's entries."""
    return f"{object_prefix(model, Prefix.CHANNELS)}{channel}/"


def move_key(model: str, channel: str, number: int) -> str:
    """The `number`-th entry of a channel, counted from 1."""
    return f"{channel_prefix(model, channel)}{number:08d}.json"


def experiments_prefix(model: str, channel: str) -> str:
    """The log of a channel's experiments."""
    return f"{object_prefix(model, Prefix.EXPERIMENTS)}{channel}/"


def experiment_key(model: str, channel: str, number: int) -> str:
    """The `number`-th start or end of an experiment on a channel, counted from 1."""
    return f"{experiments_prefix(model, channel)}{number:08d}.json"


def repair_key(model: str, number: int) -> str:
    """The `number`-th declaration that an object is void, counted from 1."""
    return f"{object_prefix(model, Prefix.REPAIRS)}{number:08d}.json"


# --- model store: the API keys of endpoints -------------------------------------------------------------------------

API_KEYS = "api_keys/"
"""Next to the registries of models, none of which can have such a name (`registry.encoding.NAME`)."""


def api_keys_prefix(stack: str) -> str:
    """The log of the API keys of a stack's endpoint; it holds hashes, never a key."""
    return f"{API_KEYS}{stack}/"


def api_keys_key(prefix: str, number: int) -> str:
    """The `number`-th state of such a log, counted from 1."""
    return f"{prefix}{number:08d}.json"


# --- who may write where -------------------------------------------------------------------------------------------


class Role(StrEnum):
    """Roles that act on the registry. All may read; each prefix has exactly one role that adds to it."""

    PUBLISHER = "publisher"
    CERTIFIER = "certifier"
    PROMOTER = "promoter"
    READER = "reader"
    COLLECTOR = "collector"
    REPAIRER = "repairer"


_SHELVES: Mapping[Role, tuple[Prefix, ...]] = MappingProxyType(
    {
        Role.PUBLISHER: (Prefix.BLOBS, Prefix.VERSIONS),
        Role.CERTIFIER: (Prefix.CERTIFICATES,),
        Role.PROMOTER: (Prefix.CHANNELS, Prefix.EXPERIMENTS),
        Role.READER: (),
        Role.COLLECTOR: (),
        Role.REPAIRER: (Prefix.REPAIRS,),
    }
)


_NUMBERED = "0???????.json"
"""Of an entry, as a pattern of IAM: no other names, and no number from 10,000,000 on, from which no log could go on.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""
_WITHIN: Mapping[Prefix, str] = MappingProxyType(
    {
        Prefix.BLOBS: "sha256/*",
        Prefix.VERSIONS: _NUMBERED,
        Prefix.CERTIFICATES: f"0???????/{_NUMBERED}",
        Prefix.CHANNELS: f"*/{_NUMBERED}",
        Prefix.EXPERIMENTS: f"*/{_NUMBERED}",
        Prefix.REPAIRS: _NUMBERED,
    }
)


def creates(role: Role, model: str) -> tuple[str, ...]:
    """Keys of the model store that `role` may create, as patterns of IAM."""
    registry = tuple(f"{object_prefix(model, shelf)}{_WITHIN[shelf]}" for shelf in _SHELVES[role])
    return (*registry, f"{API_KEYS}*/{_NUMBERED}") if role is Role.PROMOTER else registry


def reads(role: Role, model: str) -> tuple[str, ...]:
    """Prefixes of the model store under which `role` may read objects."""
    return (f"{model}/", API_KEYS) if role in (Role.PROMOTER, Role.READER) else (f"{model}/",)


def deletes(role: Role, model: str) -> tuple[str, ...]:
    """Prefixes of the model store under which `role` may delete objects: the collector's unreferenced blobs."""
    return (object_prefix(model, Prefix.BLOBS),) if role is Role.COLLECTOR else ()
