"""Reads recorded predictions (docs/design/telemetry.md) from an object store."""

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from arro3.io import read_parquet

from imaging import INPUT_STATISTICS
from registry.store.transfer import REQUESTS_AT_ONCE, in_order
from registry.telemetry import COLUMNS, HourPartition, Kind, camera_prefix, day_prefix, partition_of, stack_prefix

type Numbers = npt.NDArray[np.float32]

_HOUR: Final = timedelta(hours=1)


class Reads(Protocol):
    """The part of ObjectStore that reading needs."""

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        ...

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See ObjectStore."""
        ...


class PredictionsUnreadable(ValueError):
    """An object under the prefix of recorded predictions is not a valid file; the message has its key."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """N predictions of one version, ascending in time."""

    version: int
    digest: str
    labels: tuple[str, ...]
    seconds: npt.NDArray[np.float64]
    """[N], since the epoch"""
    ids: tuple[str | None, ...]
    probabilities: Numbers
    """[N, labels]"""
    statistics: Numbers
    """[N, 6], in the order of `imaging.INPUT_STATISTICS`; NaN for width and height of tensors"""
    strangeness: Numbers | None
    """[N]; None if the version has no such output"""
    embedding: Numbers | None
    """[N, d]; None if any is redacted"""

    def __len__(self) -> int:
        return len(self.seconds)


def cameras(store: Reads, stack: str) -> list[str]:
    """Returns the cameras and classes of callers with recorded predictions. Needs one request for each."""
    root, after, found = stack_prefix(stack), "", list[str]()
    while (key := next(iter(store.keys(f"{root}camera=", after=after)), None)) is not None:
        camera = key.removeprefix(f"{root}camera=").partition("/")[0]
        found.append(camera)
        after = f"{camera_prefix(stack, camera).removesuffix('/')}0"  # after "/": skips all keys of this folder
    return found


def read(store: Reads, stack: str, camera: str, *, start: datetime, end: datetime) -> list[Predictions]:
    """Returns the predictions from `start` (included) to `end` (excluded), by version. Raises `PredictionsUnreadable`.

    Both times are those of the predictions, with time zone.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    hours = [HourPartition.of(stack, camera, each) for each in _hours(start, end)]
    keys = [key for hour in hours for key in store.keys(hour.prefix)]
    for row in _rows(store, keys, lambda row: start <= row["at"] < end):
        rows.setdefault(row["digest"], []).append(row)
    return [_predictions(sorted(each, key=lambda row: row["at"])) for each in rows.values()]


def find(
    store: Reads, stack: str, request_id: str, *, camera: str | None = None, start: datetime, end: datetime
) -> list[dict[str, Any]]:
    """Returns the rows with a request id from `start` to `end`, by item. Reads the newest hours first.

    Each row has the columns of its file, and `camera`. Ends with the first hour that has the id.
    """
    named = [camera] if camera else cameras(store, stack)
    days = sorted({hour.date() for hour in _hours(start, end)}, reverse=True)
    for day in days:
        hours: dict[datetime, list[str]] = {}
        for key in (key for each in named for key in store.keys(day_prefix(stack, each, day))):
            hours.setdefault(_partition(key).hour, []).append(key)
        for hour in sorted(hours, reverse=True):
            found = list(_rows(store, hours[hour], lambda row: row["id"] == request_id and start <= row["at"] < end))
            if found:
                return sorted(found, key=lambda row: (row["at"], row["item"]))
    return []


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A recorded prediction without its thumbnail and feature values."""

    key: str
    """Key of its file."""
    row: int
    """Row in this file, counted from 0."""
    camera: str
    id: str | None
    item: int
    at: datetime
    version: int
    digest: str
    label: str
    labels: tuple[str, ...]
    confidence: float
    """Probability of the predicted class."""
    has_thumbnail: bool


def each_recorded(store: Reads, stack: str, camera: str, *, start: datetime, end: datetime) -> Iterator[Recorded]:
    """Yields the predictions from `start` (included) to `end` (excluded), by key and row.

    Raises PredictionsUnreadable.
    """
    for hour in (HourPartition.of(stack, camera, each) for each in _hours(start, end)):
        keys = list(store.keys(hour.prefix))
        for key, body in zip(keys, in_order(store.get, keys, at_once=REQUESTS_AT_ONCE), strict=True):
            for number, row in enumerate(_parsed(key, body)):
                if start <= row["at"] < end:
                    yield _recorded(key, number, camera, row)


def _recorded(key: str, number: int, camera: str, row: Mapping[str, Any]) -> Recorded:
    labels = tuple(row["labels"])
    if row["label"] not in labels:
        raise PredictionsUnreadable(f"{key} has a row whose label {row['label']!r} is not one of its labels")
    return Recorded(
        key=key,
        row=number,
        camera=camera,
        id=row["id"],
        item=row["item"],
        at=row["at"],
        version=row["version"],
        digest=row["digest"],
        label=row["label"],
        labels=labels,
        confidence=min(1.0, max(0.0, row["probabilities"][labels.index(row["label"])])),
        has_thumbnail=row["thumbnail"] is not None,
    )


def thumbnails(store: Reads, key: str) -> list[bytes | None]:
    """Returns the thumbnails of a file of predictions, by row. Raises `PredictionsUnreadable`, `ObjectMissing`."""
    return [row["thumbnail"] for row in _parsed(key, store.get(key))]


def _hours(start: datetime, end: datetime) -> Iterator[datetime]:
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < end:
        yield hour
        hour += _HOUR


def _partition(key: str) -> HourPartition:
    partition = partition_of(key)
    if partition is None:
        raise PredictionsUnreadable(f"{key} is not the key of a file of recorded predictions")
    return partition


def _rows(store: Reads, keys: Sequence[str], wanted: Callable[[dict[str, Any]], bool]) -> Iterator[dict[str, Any]]:
    """The wanted rows of these files; files are read in parallel and not kept."""
    for key, body in zip(keys, in_order(store.get, keys, at_once=REQUESTS_AT_ONCE), strict=True):
        camera = _partition(key).camera
        yield from ({**row, "camera": camera} for row in _parsed(key, body) if wanted(row))


def _parsed(key: str, body: bytes) -> Iterator[dict[str, Any]]:
    try:
        table: Any = read_parquet(io.BytesIO(body)).read_all()
        columns: dict[str, list[Any]] = {name: table[name].to_pylist() for name in table.column_names}
    except BaseException as error:
        # arro3's errors share no base class, and one for a damaged footer is not even an Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise PredictionsUnreadable(f"{key} is not a Parquet file: {error}") from error
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        if problem := _problem(row):
            raise PredictionsUnreadable(f"{key} has an invalid row: {problem}")
        yield row


_KINDS: Final[Mapping[Kind, Callable[[Any], bool]]] = MappingProxyType(
    {
        Kind.STRING: lambda value: isinstance(value, str),
        Kind.INT: lambda value: isinstance(value, int),
        Kind.FLOAT: lambda value: isinstance(value, float) and math.isfinite(value),
        Kind.TIMESTAMP: lambda value: isinstance(value, datetime) and value.tzinfo is not None,
        Kind.STRINGS: lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
        Kind.FLOATS: lambda value: isinstance(value, list) and all(map(_KINDS[Kind.FLOAT], value)),
        Kind.BINARY: lambda value: isinstance(value, bytes),
    }
)


def _problem(row: Mapping[str, Any]) -> str:
    """How a row differs from `registry.telemetry.COLUMNS`; empty if it does not."""
    for column in COLUMNS:
        if column.name not in row:
            return f"no column {column.name}"
        value = row[column.name]
        if not (column.nullable if value is None else _KINDS[column.kind](value)):
            return f"{column.name} is {value!r:.80}"
    if not row["labels"] or len(row["labels"]) != len(row["probabilities"]):
        return f"{len(row['probabilities'])} probabilities for {len(row['labels'])} labels"
    if (embedding := row["embedding"]) is not None and not _numbers(embedding):
        return "embedding is not finite half-precision numbers"
    return ""


def _numbers(embedding: bytes) -> bool:
    return len(embedding) % 2 == 0 and bool(np.isfinite(np.frombuffer(embedding, "<f2")).all())


def _predictions(rows: Sequence[dict[str, Any]]) -> Predictions:
    first = rows[0]
    for name in ("version", "labels"):
        if other := next((row[name] for row in rows if row[name] != first[name]), None):
            raise PredictionsUnreadable(f"{first['digest']} is recorded with {name} {first[name]} and {other}")
    if len({len(row["embedding"]) for row in rows if row["embedding"] is not None}) > 1:
        raise PredictionsUnreadable(f"{first['digest']} is recorded with embeddings of several lengths")
    embeddings, strangeness = [row["embedding"] for row in rows], [row["strangeness"] for row in rows]
    return Predictions(
        version=first["version"],
        digest=first["digest"],
        labels=tuple(first["labels"]),
        seconds=np.array([row["at"].timestamp() for row in rows]),
        ids=tuple(row["id"] for row in rows),
        probabilities=np.array([row["probabilities"] for row in rows], dtype=np.float32),
        statistics=np.array([[row[name] for name in INPUT_STATISTICS] for row in rows], dtype=np.float32),
        strangeness=None if None in strangeness else np.array(strangeness, dtype=np.float32),
        embedding=(
            None
            if None in embeddings
            else np.stack([np.frombuffer(each, "<f2") for each in embeddings]).astype(np.float32)
        ),
    )
