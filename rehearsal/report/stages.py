"""The stages of a pipeline execution, from its history and its jobs' results."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

TITLES: Final[Mapping[str, str]] = {
    "CheckDataset": "check the dataset",
    "Train": "train and evaluate",
    "MoveTest": "release to test",
    "ApplicationTest": "test the application",
    "WaitForCertification": "wait for certification",
    "MoveProd": "release to prod",
    "ReadBack": "read prod back",
}
"""States of the pipeline that run a job or wait for a person, with their titles."""


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """One stage: start (seconds since the rehearsal's start), duration and outcome.

    `work` are the seconds that the job itself reports; the rest is launch, boot, polling and the end of its instance.
    None for the wait for a person, whose ARN is `by`.
    """

    execution: str
    state: str
    at: float
    seconds: float
    outcome: str
    version: int | None = None
    job: str = ""
    instance: str = ""
    work: float | None = None
    by: str = ""

    @property
    def title(self) -> str:
        """Title for people."""
        return TITLES.get(self.state, self.state)

    @property
    def overhead(self) -> float | None:
        """Overhead in seconds; None for the wait for a person."""
        return None if self.work is None else max(0.0, self.seconds - self.work)


def drawn(stages: Sequence[StageRecord]) -> list[tuple[str, list[tuple[StageRecord, float, float, float]]]]:
    """Per execution, each stage with its bar: percent of the execution's time before it, as work, and as overhead."""
    return [
        (name, _bars([stage for stage in stages if stage.execution == name]))
        for name in dict.fromkeys(stage.execution for stage in stages)
    ]


def _bars(stages: Sequence[StageRecord]) -> list[tuple[StageRecord, float, float, float]]:
    begin = min(stage.at for stage in stages)
    percent = 100 / max(0.001, max(stage.at + stage.seconds for stage in stages) - begin)
    found: list[tuple[StageRecord, float, float, float]] = []
    for stage in stages:
        work = stage.seconds if stage.work is None else min(stage.work, stage.seconds)
        found.append((stage, percent * (stage.at - begin), percent * work, percent * (stage.seconds - work)))
    return found


def to_json(stages: Sequence[StageRecord]) -> list[dict[str, Any]]:
    """As `summary.json` has them; without the names of people."""
    return [
        {
            **{name: value for name, value in asdict(stage).items() if name != "by"},
            "at": round(stage.at, 3),
            "seconds": round(stage.seconds, 3),
            "overhead": None if stage.overhead is None else round(stage.overhead, 3),
        }
        for stage in stages
    ]
