"""Rows to the bytes of a Parquet file."""

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from arro3.core import Array, DataType, Field, Schema, Table, list_array
from arro3.io import write_parquet

from registry.telemetry import COLUMNS, Column, Kind
from serving.recording.observation import Row

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COMPRESSION: Final = "zstd(3)"

_STRING, _FLOAT = DataType.string(), DataType.float32()
_MOMENT = DataType.timestamp("us", tz="UTC")

_TYPES: Final[Mapping[Kind, DataType]] = MappingProxyType(
    {
        Kind.STRING: _STRING,
        Kind.INT: DataType.int32(),
        Kind.FLOAT: _FLOAT,
        Kind.TIMESTAMP: _MOMENT,
        Kind.STRINGS: DataType.list(Field("element", _STRING, nullable=False)),
        Kind.FLOATS: DataType.list(Field("element", _FLOAT, nullable=False)),
        Kind.BINARY: DataType.binary(),
    }
)


def to_parquet(rows: Sequence[Row]) -> bytes:
    """Returns a Parquet file with the columns of `registry.telemetry.COLUMNS`, for at least one row."""
    schema = Schema([Field(column.name, _TYPES[column.kind], nullable=column.nullable) for column in COLUMNS])
    table = Table.from_arrays([_array(column, rows) for column in COLUMNS], schema=schema)
    file = io.BytesIO()
    write_parquet(table, file, compression=_COMPRESSION, skip_arrow_metadata=True)
    return file.getvalue()


def _array(column: Column, rows: Sequence[Row]) -> Array:
    values: list[Any] = list(map(attrgetter(column.name), rows))
    return _MAKE.get(column.kind, _plain)(column, values)


def _plain(column: Column, values: list[Any]) -> Array:
    return Array(values, _TYPES[column.kind])


def _moments(_column: Column, values: list[datetime]) -> Array:
    return Array([(value - _EPOCH) // _MICROSECOND for value in values], DataType.int64()).cast(_MOMENT)


def _lists(column: Column, values: list[tuple[Any, ...]]) -> Array:
    offsets = np.concatenate(([0], np.cumsum([len(value) for value in values]))).astype(np.int32)
    flat = [each for value in values for each in value]
    of = _STRING if column.kind is Kind.STRINGS else _FLOAT
    return list_array(Array.from_numpy(offsets), Array(flat, of), type=_TYPES[column.kind])


_MICROSECOND: Final = datetime.resolution
_MAKE: Final[Mapping[Kind, Callable[[Column, list[Any]], Array]]] = MappingProxyType(
    {Kind.TIMESTAMP: _moments, Kind.STRINGS: _lists, Kind.FLOATS: _lists}
)
