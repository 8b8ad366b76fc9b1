"""A study's table: a row for each trial, the best trial, and the cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self, cast

from registry.encoding import canonical


class State(StrEnum):
    """State of a trial."""

    WAITING = "waiting"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trial. `seconds` and `usd` are the time of its instances and their cost at list prices.

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
    """A study's trials. `luck`: p-value of best and second being equally good. `outcome`: None until the study ends.

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
        """Returns the row of a trial."""
        return next(row for row in self.rows if row.trial == trial)

    def to_json(self) -> bytes:
        """Returns canonical JSON, without `cancelled_by` if it is empty: earlier releases do not know that field."""
        return canonical({name: fact for name, fact in asdict(self).items() if name != "cancelled_by" or fact})

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Returns the table in `data`. Raises training's `SpecMalformed` for anything that `to_json` does not write."""
        from training.errors import SpecMalformed

        try:
            facts = cast("dict[str, Any]", json.loads(data))
            rows = tuple(Row(**(row | _state(row))) for row in facts.pop("rows"))
            return cls(**facts, rows=rows)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SpecMalformed(f"malformed table of a study: {error}") from error


def _state(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"state": State(row["state"])}
