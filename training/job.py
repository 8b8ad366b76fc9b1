"""Records of a job: its spec, epochs, progress and result, as canonical JSON objects that are written once.

A job's id is the name of its folder in the workspace (`registry.layout`); of its records only the result repeats it.
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

_LATER_FIELDS: Final = MappingProxyType({"data_gates": None, "study": None, "instances": 1})
"""Fields that specs of earlier releases lack, with the values that apply to them."""

IDENTITY: Final = re.compile(r"arn:[\w-]+:(?:iam|sts)::\d{12}:[!-~]+", re.ASCII)
"""ARN of a caller as STS reports it: of a user, or of a role session."""


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """What a job trains, how it is evaluated, and who requested it."""

    dataset: str  # hash of a manifest in the data lake
    seed: int
    requested_by: str  # ARN of the person who submitted it, even if others resume it
    hyper_parameters: HyperParameters = field(default_factory=HyperParameters)
    code: str | None = None  # hash of the code bundle that the instance runs
    initial_weights: str | None = None  # hash of a weights file; None: from scratch
    max_seconds: int = 3600
    evaluation: EvaluationPlan = field(default_factory=EvaluationPlan)
    data_gates: DataGates | None = None  # limits for the dataset's newest quality report; None: no report is required
    study: str | None = None  # id of the study if this is a trial: evaluated on validation photos, never published
    instances: int = 1  # number of instances that train together

    def to_json(self) -> bytes:
        """Returns canonical JSON. Later fields with default values are omitted: earlier releases do not know them."""
        facts = asdict(self)
        return canonical(
            {name: facts[name] for name in facts if name not in _LATER_FIELDS or facts[name] != _LATER_FIELDS[name]}
        )

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Returns the spec in canonical JSON. Raises SpecMalformed."""
        return read_strictly("job spec", data, cls.read)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Returns the spec in `fields`. Raises ValueError or SpecMalformed."""
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
    """Metrics of one epoch. `accuracy` and `loss` are those of the validation photos."""

    epoch: int
    of: int
    train_loss: float
    loss: float
    accuracy: float
    learning_rate: float
    seconds: float
    usage: Mapping[str, float] = field(
        default_factory=dict[str, float]
    )  # of the instance: `training.instance.machine.Usage`

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
"""Stages with progress other than epochs, in order: decoding of photos, embedding by a frozen network, evaluation."""


@dataclass(frozen=True, kw_only=True)
class ProgressRecord:
    """Progress of one of the `STAGES`."""

    doing: str
    done: int
    of: int
    seconds_left: float  # estimate for this stage, at its pace so far

    @property
    def key(self) -> tuple[int, int]:
        """Its position among the job's progress records: index of the stage, and `done`."""
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
    """Result of a job."""

    job: str
    status: Literal["succeeded", "failed", "cancelled"]
    version: int | None = None
    digest: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    error: str | None = None  # name of the error, such as DatasetRefused
    message: str | None = None  # explanation for people
    seconds: float = 0.0  # of the instance that finished it
    by: str | None = None  # ARN of the person who cancelled it; None if it was not cancelled
    outcome: str | None = None  # of a successful job, one of its purpose's outcomes: docs/design/pipeline.md
    report: str | None = None  # s3:// URI of a report

    def to_json(self) -> bytes:
        """Returns canonical JSON. Empty later fields are omitted, so that earlier releases can read it."""
        later = ("by", "outcome", "report")
        return canonical({name: fact for name, fact in asdict(self).items() if name not in later or fact is not None})

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
    """Returns the records of a job's epochs, in order, and the problems of malformed ones by key."""
    found: list[EpochRecord] = []
    problems: dict[str, str] = {}
    for key in workspace.keys(epochs_prefix(job)):
        try:
            found.append(EpochRecord.from_json(workspace.get(key)))
        except SpecMalformed as error:
            problems[key] = str(error)
    return found, problems


def initial_weights_key(job: str) -> str:
    """Returns the key of weights submitted with a job, in the workspace."""
    return f"{job_prefix(job)}initial.pt"


class Record(Protocol):
    """A record that is stored as canonical JSON and read strictly."""

    def to_json(self) -> bytes:
        """Returns canonical JSON. Raises ValueError for a value that JSON cannot represent."""
        ...

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Returns the record in `data`. Raises SpecMalformed or ValueError."""
        ...


def written(record: Record) -> bytes:
    """Returns a record's bytes. Raises SpecMalformed if they could not be read back."""
    try:
        data = record.to_json()
        type(record).from_json(data)
    except ValueError as error:
        raise SpecMalformed(f"the record cannot be stored: {error}") from error
    return data


def submit(workspace: ObjectStore, job: str, spec: JobSpec) -> None:
    """Store a job's spec. Raises JobExists, SpecMalformed."""
    body = written(spec)
    try:
        workspace.create(job_spec_key(job), body)
    except ObjectExists as error:
        raise JobExists(f"job {job} already exists; choose another id") from error


def load_spec(workspace: ObjectStore, job: str) -> JobSpec:
    """Returns a job's spec. Raises JobMissing, SpecMalformed."""
    try:
        return JobSpec.from_json(workspace.get(job_spec_key(job)))
    except ObjectMissing as error:
        raise JobMissing(f"no job {job}; `petpark jobs list` shows the existing jobs") from error


def find_result(workspace: ObjectStore, job: str) -> JobResult | None:
    """Returns a job's result; None until it has ended. Raises SpecMalformed."""
    try:
        return JobResult.from_json(workspace.get(job_result_key(job)))
    except ObjectMissing:
        return None


def store_cancelled(workspace: ObjectStore, job: str, *, by: str, why: str) -> JobResult:
    """Store that `by` (an ARN) cancelled a job. Returns the stored result, an earlier one if there is one."""
    return store_result(workspace, JobResult(job=job, status="cancelled", error="Cancelled", message=why, by=by))


def store_result(workspace: ObjectStore, result: JobResult) -> JobResult:
    """Store a job's result, create-only. Returns the stored result, another instance's if that was earlier.

    A result that could not be read back, for example with a metric that is not finite, is stored as a failure.
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
    """Returns the record in canonical JSON; `read` must consume every field. Raises SpecMalformed, naming `what`."""
    try:
        fields = parse_canonical(data)
        record = read(fields)
        fields.done()
    except ValueError as error:
        raise SpecMalformed(f"malformed {what}: {error}") from error
    return record
