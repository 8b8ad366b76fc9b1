"""A job's order as the state machine `job` writes it: purpose and inputs as JSON, validated strictly."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self, cast

from registry.encoding import Fields
from registry.errors import ObjectMissing
from registry.layout.jobs import job_order_key
from registry.store.object_store import ObjectStore
from training.job import IDENTITY

SCHEMA: Final = "petpark.order/1"
JOB: Final = re.compile(r"[a-z0-9-]{1,64}")
_PIPELINE: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


class Purpose(StrEnum):
    """Purpose of a job."""

    TRAIN = "train"
    TRIAL = "trial"
    DATASET = "dataset"
    MOVE = "move"
    APPLICATION_TEST = "application-test"
    CANARY = "canary"
    READ_BACK = "read-back"
    REPORT = "report"
    DRIFT = "drift"
    ROLLBACK = "rollback"

    @property
    def trains(self) -> bool:
        """Whether it runs on the machine `training`; all others run on `small`."""
        return self in {Purpose.TRAIN, Purpose.TRIAL}


class OrderMissing(Exception):
    """A job has no order."""


class OrderMalformed(Exception):
    """A job's order, or one of its inputs, is invalid."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """The order of a job."""

    job: str
    purpose: Purpose
    requested_by: str
    """ARN of the person or role that requested the job."""
    pipeline: str | None
    """Name of the pipeline execution of which the job is a stage; None outside a pipeline."""
    max_seconds: int
    inputs: Mapping[str, object]

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Returns the order in `data`. Raises OrderMalformed, naming the invalid field."""
        try:
            fields = Fields(_parse(data))
            fields.constant("schema", SCHEMA)
            order = cls(
                job=fields.text("job", JOB),
                purpose=Purpose(fields.text("purpose")),
                requested_by=fields.text("requested_by", IDENTITY),
                pipeline=fields.optional_text("pipeline", _PIPELINE),
                max_seconds=fields.count("max_seconds"),
                inputs=fields.nested("inputs").rest(),
            )
            fields.done()
        except ValueError as error:
            raise OrderMalformed(f"malformed order: {error}") from error
        return order

    def read[T](self, read: Callable[[Fields], T]) -> T:
        """Returns the inputs parsed by `read`. Raises OrderMalformed, naming an invalid, missing or unknown input."""
        fields = Fields(self.inputs)
        try:
            found = read(fields)
            fields.done()
        except ValueError as error:
            raise OrderMalformed(f"invalid inputs for purpose {self.purpose}: {error}") from error
        return found


def load_order(workspace: ObjectStore, job: str) -> Order:
    """Returns a job's order. Raises OrderMissing, OrderMalformed."""
    try:
        order = Order.from_json(workspace.get(job_order_key(job)))
    except ObjectMissing as error:
        raise OrderMissing(f"job {job} has no order ({job_order_key(job)}); the state machine writes it") from error
    if order.job != job:
        raise OrderMalformed(f"the order of job {job} names job {order.job}")
    return order


def _parse(data: bytes) -> dict[str, object]:
    """Returns a JSON object without repeated names; state machines may write integers as 3600.0."""
    return json_object(json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_float=whole_or_float))


def json_object(value: object) -> dict[str, object]:
    """Returns a parsed JSON object. Raises ValueError for any other value."""
    if isinstance(value, dict):
        return cast("dict[str, object]", value)
    raise ValueError("not a JSON object")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is repeated")
    return found


def whole_or_float(text: str) -> int | float:
    """Returns a JSON number with a fraction, as int if it is whole: state machines write 3600 as 3600.0."""
    value = float(text)
    return int(value) if value.is_integer() else value
