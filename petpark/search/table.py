"""A study as people read it: a row for each trial, which is best, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self, cast

from registry.encoding import canonical


class State(StrEnum):
    """How far a trial is."""

    WAITING = "waiting"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trial. `seconds` and `usd` are those of its instances, at list prices.

    `value`, `low` and `high` are the study's metric on the validation photos and its 95 % interval.
    """

    trial: int
    job: str
    rung: int
    parent: int | None
    settings: Mapping[str, str]
    epochs: int
    state: State
    launches: int
    seconds: float
    usd: float | None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    error: str | None = None
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A study's trials. `luck`: p-value that best and second are equally good. `outcome`: None until the end.

    `cancelled_by` is the ARN of the person who cancelled it; None if it was not cancelled.
    """

    study: str
    metric: str
    dataset: str
    requested_by: str
    created_at: str
    budget: Mapping[str, float]
    rows: tuple[Row, ...]
    seconds: float
    usd: float | None
    best: int | None
    second: int | None
    luck: float | None
    outcome: str | None = None
    cancelled_by: str | None = None

    def row(self, trial: int) -> Row:
        """One of the trials."""
        return next(row for row in self.rows if row.trial == trial)

    def to_json(self) -> bytes:
        """Write canonical JSON. Without `cancelled_by` if it was not cancelled, so that older code reads it."""
        return canonical({name: fact for name, fact in asdict(self).items() if name != "cancelled_by" or fact})

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read what `to_json` wrote; training's `SpecMalformed` for anything else."""
        from training.errors import SpecMalformed

        try:
            facts = cast("dict[str, Any]", json.loads(data))
            rows = tuple(Row(**(row | _state(row))) for row in facts.pop("rows"))
            return cls(**facts, rows=rows)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SpecMalformed(f"not a table of a study: {error}") from error


def _state(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"state": State(row["state"])}
