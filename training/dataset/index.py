"""An index of photos: what each shows, which camera took it, and when."""

import csv
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from training.dataset.labels import clean_label
from training.dataset.sources.source import bad_name, printable
from training.errors import DatasetRefused

COLUMNS: Final = ("key", "label", "camera", "captured_at")
_NEEDED: Final = ("key", "label")


type Groups = tuple[tuple[str, str], ...]
"""Columns and values."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of an index."""

    label: str
    camera: str | None
    captured_at: str | None
    """YYYY-MM-DDTHH:MM:SS by the camera's own clock."""
    groups: Groups = ()
    """Columns that figures are grouped by, and this photo's values; ascending by column."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """Rows by key; `refused` are keys whose row, or rows, cannot be used, and why."""

    rows: Mapping[str, Row]
    refused: Mapping[str, str]


def read_index(name: str, data: bytes, groups: Collection[str] | None = ()) -> Index:
    """Read CSV with a heading, or JSON Lines, by the ending of `name`.

    Of columns besides `COLUMNS` those in `groups` are kept (None: all); others are not looked at.
    Raises DatasetRefused, naming the line, for what is not a table; an unusable row only skips its photo.
    """
    reader = _READERS.get(name.rpartition(".")[2].lower())
    if reader is None:
        raise DatasetRefused(f"{name} is neither .csv nor .jsonl; give an index of {', '.join(COLUMNS)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetRefused(f"{name} is not UTF-8 at byte {error.start:,}; save it as UTF-8") from error
    rows: dict[str, Row] = {}
    refused: dict[str, str] = {}
    for line, fields in reader(name, text):
        key = fields.get("key")
        if not isinstance(key, str) or not key or bad_name(key):
            shown = printable(key) if isinstance(key, str) else key
            raise DatasetRefused(f"line {line} of {name} has no usable key: {shown!r}; give each row its photo's name")
        try:
            row = _row(fields, _groups(fields, groups))
        except ValueError as error:
            refused[key] = f"line {line} of the index: {error}"
            continue
        if rows.setdefault(key, row) != row:
            refused[key] = f"the index describes it twice, differently, again in line {line}"
    if groups and (missing := sorted(set(groups) - {column for row in rows.values() for column, _ in row.groups})):
        raise DatasetRefused(f"{name} has no values in a column {missing[0]!r}; choose another --group, or fill it in")
    return Index(rows={key: row for key, row in rows.items() if key not in refused}, refused=refused)


def _groups(fields: Mapping[str, object], wanted: Collection[str] | None) -> Groups:
    names = sorted(name for name in fields if name not in COLUMNS and (wanted is None or name in wanted))
    values = ((name, fields[name]) for name in names)
    return tuple((name, str(value).strip()) for name, value in values if value is not None and str(value).strip())


def _row(fields: Mapping[str, object], groups: Groups) -> Row:
    texts: dict[str, str | None] = {}
    for name in COLUMNS[1:]:
        value = fields.get(name)
        if not isinstance(value, str | None):
            raise ValueError(f"{name} is {value!r}, no text")  # noqa: TRY004  ValueError is what a bad row is
        if value is not None and bad_name(value):
            raise ValueError(f"{name} is {printable(value)!r}, no UTF-8")
        texts[name] = (value or "").strip() or None
    label = texts["label"]
    if label is None:
        raise ValueError("it has no label")
    return Row(
        label=clean_label(label), camera=texts["camera"], captured_at=_moment(texts["captured_at"]), groups=groups
    )


def _moment(text: str | None) -> str | None:
    """The wall clock's time; a fraction of a second and a time zone are dropped, for cameras' EXIF has neither."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text).replace(tzinfo=None, microsecond=0).isoformat()
    except ValueError:
        moment = None
    if moment is None or len(text) <= len("YYYY-MM-DD"):  # a day alone is read as its midnight, which is not a time
        raise ValueError(f"captured_at is {text!r}; write it as 2026-03-01T21:04:05")
    return moment


def _csv(name: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        heading = reader.fieldnames or ()
        if missing := [column for column in _NEEDED if column not in heading]:
            raise DatasetRefused(
                f"{name} has no column {missing[0]}; its first line must name {', '.join(COLUMNS)}"
                + _other_separator(heading)
            )
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise DatasetRefused(f"line {reader.line_num} of {name} is not valid CSV: {error}; fix it") from error


def _other_separator(heading: Sequence[str]) -> str:
    """What to do where the heading's names are there, but separated by something else than commas."""
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        found = {column.strip() for column in separator.join(heading).split(separator)}
        if found.issuperset(_NEEDED):
            return f". It looks separated by {name}: save it with commas"
    return ""


def _jsonl(name: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, entry in enumerate(text.split("\n"), start=1):
        if not entry.strip():
            continue
        try:
            fields = json.loads(entry)
        except (ValueError, RecursionError) as error:
            raise DatasetRefused(f"line {line} of {name} is not valid JSON: {error}; fix it") from error
        if not isinstance(fields, dict):
            raise DatasetRefused(f"line {line} of {name} is not a JSON object; fix it")
        yield line, cast("dict[str, Any]", fields)


_READERS: Final[Mapping[str, Callable[[str, str], Iterator[tuple[int, dict[str, Any]]]]]] = {
    "csv": _csv,
    "jsonl": _jsonl,
}
