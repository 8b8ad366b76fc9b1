"""A job: what shall be trained, how it went epoch by epoch, and how it ended. All of it is JSON, written once.

A job's id is the name of its folder in the workspace (`registry.layout`); nothing inside repeats it, except the result.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Final, Literal, Protocol, Self

from registry.encoding import NAME, SHA256, Fields, canonical, parse_canonical
from registry.errors import ObjectExists, ObjectMissing
from registry.layout.jobs import epochs_prefix, job_prefix, job_result_key, job_spec_key
from registry.store.object_store import ObjectStore
from training.errors import JobExists, JobMissing, SpecMalformed
from training.hyper_parameters import HyperParameters
from training.plan import DataGates, EvaluationPlan

_YOUNG: Final = MappingProxyType({"data_gates": None, "study": None, "instances": 1})
"""Fields that jobs of the past do not have, and what these had without knowing it."""

IDENTITY: Final = re.compile(r"arn:[\w-]+:(?:iam|sts)::\d{12}:[!-~]+", re.ASCII)
"""An ARN as STS reports it of a caller: a user, or a session of a role."""


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A job's spec, and who requested it."""

    dataset: str  # hash of a manifest in the data lake
    seed: int
    requested_by: str  # ARN of the person who submitted it, even if others resume it
    hyper_parameters: HyperParameters = field(default_factory=HyperParameters)
    code: str | None = None  # hash of the code bundle that the instance runs
    initial_weights: str | None = None  # hash of a weights file; None: from scratch
    max_seconds: int = 3600
    evaluation: EvaluationPlan = field(default_factory=EvaluationPlan)
    data_gates: DataGates | None = None  # what the dataset's newest quality report must show; None: none is requested
    study: str | None = None  # the study that this is a trial of: judged on validation photos, and never published
    instances: int = 1  # that train it together, launched together

    def to_json(self) -> bytes:
        """Write canonical JSON. What a job does not ask for is left out, so that code of before reads it."""
        facts = asdict(self)
        return canonical({name: facts[name] for name in facts if name not in _YOUNG or facts[name] != _YOUNG[name]})

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read canonical JSON, strictly; SpecMalformed."""
        return read_strictly("job", data, cls.read)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read all, strictly; ValueError or SpecMalformed."""
        data_gates = fields.optional_nested("data_gates")
        spec = cls(
            dataset=fields.text("dataset", SHA256),
            seed=fields.count("seed", least=0),
            requested_by=fields.text("requested_by", IDENTITY),
            hyper_parameters=HyperParameters.read(fields.nested("hyper_parameters")),
            code=fields.optional_text("code", SHA256),
            initial_weights=fields.optional_text("initial_weights", SHA256),
            max_seconds=fields.count("max_seconds"),
            evaluation=EvaluationPlan.read(fields.nested("evaluation")),
            data_gates=None if data_gates is None else DataGates.read(data_gates),
            study=fields.optional_text("study", NAME) if "study" in fields.rest() else None,
            instances=fields.count("instances") if "instances" in fields.rest() else 1,
        )
        fields.done()
        return spec


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """How one epoch went. Accuracy and loss without `train_` are those of the validation photos."""

    epoch: int
    of: int
    train_loss: float
    loss: float
    accuracy: float
    learning_rate: float
    seconds: float
    usage: Mapping[str, float] = field(
        default_factory=dict[str, float]
    )  # of the machine: `training.instance.machine.Usage`

    def to_json(self) -> bytes:
        """Write canonical JSON."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read canonical JSON, strictly; SpecMalformed."""

        def read(fields: Fields) -> Self:
            numbers = ("train_loss", "loss", "accuracy", "learning_rate", "seconds")
            return cls(
                epoch=fields.count("epoch"),
                of=fields.count("of"),
                usage=fields.mapping_to_number("usage") if "usage" in fields.rest() else {},
                **{name: fields.number(name) for name in numbers},
            )

        return read_strictly("epoch record", data, read)


STAGES: Final = ("photos decoded", "photos embedded", "tests done")
"""What of a job takes a while and is no epoch, in its order: photos that stay in memory, those that a frozen network
sees, and the parts of evaluation."""


@dataclass(frozen=True, kw_only=True)
class ProgressRecord:
    """How far one of the `STAGES` is."""

    doing: str
    done: int
    of: int
    seconds_left: float  # of this stage, at its pace until now

    @property
    def key(self) -> tuple[int, int]:
        """Its place among the job's."""
        return STAGES.index(self.doing), self.done

    def to_json(self) -> bytes:
        """Write canonical JSON."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read canonical JSON, strictly; SpecMalformed."""

        def read(fields: Fields) -> Self:
            doing = fields.text("doing")
            if doing not in STAGES:
                raise ValueError(f"doing must be one of {', '.join(STAGES)}, not {doing!r}")
            return cls(
                doing=doing,
                done=fields.count("done"),
                of=fields.count("of"),
                seconds_left=fields.number("seconds_left"),
            )

        return read_strictly("progress record", data, read)


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """How a job ended."""

    job: str
    status: Literal["succeeded", "failed", "cancelled"]
    version: int | None = None
    digest: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    error: str | None = None  # name of the outcome, such as DatasetRefused
    message: str | None = None  # what a person should know about it
    seconds: float = 0.0  # on the machine that finished it
    by: str | None = None  # ARN of who cancelled it; None if nobody did
    outcome: str | None = None  # of a job that succeeded: one of its purpose's outcomes, docs/design/pipeline.md
    report: str | None = None  # s3:// URI of what people read about it

    def to_json(self) -> bytes:
        """Write canonical JSON, without the fields that results of the past do not have where they say nothing."""
        young = ("by", "outcome", "report")
        return canonical({name: fact for name, fact in asdict(self).items() if name not in young or fact is not None})

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read canonical JSON, strictly; SpecMalformed."""

        def read(fields: Fields) -> Self:
            status = fields.text("status")
            if status not in ("succeeded", "failed", "cancelled"):
                raise ValueError(f"status cannot be {status!r}")
            return cls(
                job=fields.text("job"),
                status=status,
                version=fields.optional_count("version"),
                digest=fields.optional_text("digest"),
                metrics=fields.mapping_to_number("metrics"),
                error=fields.optional_text("error"),
                message=fields.optional_text("message"),
                seconds=fields.number("seconds"),
                by=fields.text("by", IDENTITY) if "by" in fields.rest() else None,
                outcome=fields.text("outcome", NAME) if "outcome" in fields.rest() else None,
                report=fields.text("report") if "report" in fields.rest() else None,
            )

        return read_strictly("result", data, read)


def epoch_records(workspace: ObjectStore, job: str) -> tuple[list[EpochRecord], dict[str, str]]:
    """Returns the records of a job's epochs, in order; and what else lies among them, by key, with why it is none."""
    found: list[EpochRecord] = []
    others: dict[str, str] = {}
    for key in workspace.keys(epochs_prefix(job)):
        try:
            found.append(EpochRecord.from_json(workspace.get(key)))
        except SpecMalformed as error:
            others[key] = str(error)
    return found, others


def initial_weights_key(job: str) -> str:
    """Key in the workspace of weights that were submitted with a job."""
    return f"{job_prefix(job)}initial.pt"


class Record(Protocol):
    """What is stored as canonical JSON, and read strictly."""

    def to_json(self) -> bytes:
        """Write canonical JSON; ValueError for what JSON cannot say."""
        ...

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read it; SpecMalformed or ValueError."""
        ...


def written(record: Record) -> bytes:
    """Returns a record's bytes to store, once its own reader took them; SpecMalformed: nobody could read it again."""
    try:
        data = record.to_json()
        type(record).from_json(data)
    except ValueError as error:
        raise SpecMalformed(f"this cannot be stored: {error}") from error
    return data


def submit(workspace: ObjectStore, job: str, spec: JobSpec) -> None:
    """Store a job for whichever machine will run it; JobExists, SpecMalformed."""
    body = written(spec)
    try:
        workspace.create(job_spec_key(job), body)
    except ObjectExists as error:
        raise JobExists(f"job {job} exists already; choose another id") from error


def load_spec(workspace: ObjectStore, job: str) -> JobSpec:
    """Returns a job's spec; JobMissing, SpecMalformed."""
    try:
        return JobSpec.from_json(workspace.get(job_spec_key(job)))
    except ObjectMissing as error:
        raise JobMissing(f"no job {job}; `petpark jobs list` shows those that exist") from error


def find_result(workspace: ObjectStore, job: str) -> JobResult | None:
    """Returns how a job ended; None while it has not."""
    try:
        return JobResult.from_json(workspace.get(job_result_key(job)))
    except ObjectMissing:
        return None


def store_cancelled(workspace: ObjectStore, job: str, *, by: str, why: str) -> JobResult:
    """Store that `by` (an ARN) cancelled a job; gives what is stored, which is the job's own result if it was first."""
    return store_result(workspace, JobResult(job=job, status="cancelled", error="Cancelled", message=why, by=by))


def store_result(workspace: ObjectStore, result: JobResult) -> JobResult:
    """Store how a job ended; gives what is stored, which is another machine's result if it was first.

    A result that no reader would take, such as one with a figure that is no number, is stored as a failure saying so.
    """
    try:
        body = written(result)
    except SpecMalformed as error:
        result = JobResult(job=result.job, status="failed", error=result.error or "SpecMalformed", message=ascii(error))
        body = written(result)
    with suppress(ObjectExists):
        workspace.create(job_result_key(result.job), body)
        return result
    return find_result(workspace, result.job) or result


def read_strictly[T](what: str, data: bytes, read: Callable[[Fields], T]) -> T:
    """Read canonical JSON of which `read` takes every field; SpecMalformed says what it should have been."""
    try:
        fields = parse_canonical(data)
        record = read(fields)
        fields.done()
    except ValueError as error:
        raise SpecMalformed(f"this is no {what}: {error}") from error
    return record
