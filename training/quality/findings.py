"""The words of a quality report: what was measured, what was found, and which photos are meant."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

LISTED: Final = 1000
"""Photos of a finding that a report names; it always says how many there are."""

type Cell = str | int | float


class Name(StrEnum):
    """The characteristics of data quality (after Wang & Strong, J. of Management Information Systems 12:4, 1996)."""

    ACCURACY = "accuracy"
    COMPLETENESS = "completeness"
    RELIABILITY = "reliability"
    RELEVANCE = "relevance"
    TIMELINESS = "timeliness"


@dataclass(frozen=True, kw_only=True)
class Concern:
    """A photo that is meant, and why."""

    key: str
    sha256: str
    label: str
    why: str
    becomes: str | None = None  # the label that it may rather deserve
    beside: tuple[str, str] | None = None  # key and hash of the photo that it is to be seen with


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Photos that one thing is the matter with, the clearest cases first."""

    name: str
    title: str
    says: str  # what it means and what to do about it
    total: int
    photos: tuple[Concern, ...]  # of them, `LISTED` at most


@dataclass(frozen=True, kw_only=True)
class Table:
    """Figures for a page."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Characteristic:
    """One of the five: in a sentence, in numbers that gates are checked against, in photos."""

    name: Name
    summary: str
    measures: Mapping[str, float] = field(default_factory=dict[str, float])  # by the names of gates; no others
    findings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()


def finding(name: str, title: str, says: str, photos: Sequence[Concern]) -> tuple[Finding, ...]:
    """One finding; none if there are no such photos."""
    if not photos:
        return ()
    return (Finding(name=name, title=title, says=says, total=len(photos), photos=tuple(photos[:LISTED])),)


def table(caption: str, columns: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> tuple[Table, ...]:
    """One table; none if there are no rows."""
    found = tuple(tuple(row) for row in rows)
    return (Table(caption=caption, columns=columns, rows=found),) if found else ()


def share(part: int, whole: int) -> float:
    """A share; 0 of nothing."""
    return round(part / whole, 6) if whole else 0.0
