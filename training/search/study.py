"""A study as it is stored: what is searched, its trials, and the ledger of instances that were started for them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, Self

from registry.encoding import Fields, canonical
from registry.identity import person
from training.errors import SpecMalformed
from training.hyper_parameters import HyperParameters
from training.job import IDENTITY, JobSpec, read_strictly
from training.search.budget import Budget
from training.search.space import Space, Values, as_settings

ETA: Final = 3
"""Halving keeps one of this many, with this many times the epochs."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is searched; stored once, before anything else happens.

    `spec` is what all trials share: dataset, seed, code, who requested it, and the recipe that trials start from.
    """

    spec: JobSpec
    space: Space
    trials: int  # of the first rung
    metric: str  # the best has the highest lower bound of this, on validation photos
    rungs: int  # 1: every trial is trained for all epochs
    parallel: int
    budget: Budget
    created_at: str

    def to_json(self) -> bytes:
        """Write canonical JSON."""
        return canonical({**asdict(self), "budget": self.budget.limits()})

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read canonical JSON, strictly; SpecMalformed."""

        def read(fields: Fields) -> Self:
            space = fields.nested("space")
            return cls(
                spec=JobSpec.read(fields.nested("spec")),
                space=Space(grid=space.texts("grid"), random=space.texts("random")),
                trials=fields.count("trials"),
                metric=fields.text("metric"),
                rungs=fields.count("rungs"),
                parallel=fields.count("parallel"),
                budget=Budget(**fields.mapping_to_number("budget")),
                created_at=fields.text("created_at"),
            )

        return read_strictly("study", data, read)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training of a study. `parent` is the trial of the rung before that had the same settings."""

    number: int  # from 1
    rung: int  # from 1
    parent: int | None
    values: Values

    def to_json(self) -> bytes:
        """Write canonical JSON."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read canonical JSON, strictly; SpecMalformed."""

        def read(fields: Fields) -> Self:
            return cls(
                number=fields.count("number"),
                rung=fields.count("rung"),
                parent=fields.optional_count("parent"),
                values=fields.mapping_to_text("values"),
            )

        return read_strictly("trial", data, read)


@dataclass(frozen=True, kw_only=True)
class Launch:
    """An instance that was started for a trial, and how long it may take at most."""

    trial: int
    seconds: int

    def to_json(self) -> bytes:
        """Write canonical JSON."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read canonical JSON, strictly; SpecMalformed."""
        return read_strictly(
            "launch", data, lambda fields: cls(trial=fields.count("trial"), seconds=fields.count("seconds"))
        )


@dataclass(frozen=True, kw_only=True)
class Cancellation:
    """Who cancelled a study, why and when; stored once."""

    by: str  # ARN
    why: str
    at: str

    @property
    def outcome(self) -> str:
        """How the study ended, for people."""
        return f"cancelled by {person(self.by)}: {self.why}"

    def to_json(self) -> bytes:
        """Write canonical JSON."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read canonical JSON, strictly; SpecMalformed."""

        def read(fields: Fields) -> Self:
            return cls(by=fields.text("by", IDENTITY), why=fields.text("why"), at=fields.text("at"))

        return read_strictly("cancellation", data, read)


def parameters(study: Study, trial: Trial) -> HyperParameters:
    """Returns the recipe with a trial's settings."""
    return study.spec.hyper_parameters.with_settings(as_settings(trial.values))


def spec_of(study: Study, name: str, trial: Trial) -> JobSpec:
    """Returns what a trial's job must do; `name` is the study's id."""
    return replace(study.spec, hyper_parameters=parameters(study, trial), study=name)


def rungs(trials: int, epochs: int) -> int:
    """Returns the maximum number of rungs with a trial in the last and an epoch in the first; 1 without epochs."""
    return 1 + int(math.log(min(trials, epochs) + 0.5, ETA)) if epochs else 1


def check_halving(study: Study) -> None:
    """Refuse to halve what is searched itself, or what has no room for a second rung; SpecMalformed."""
    searched = [setting.partition("=")[0] for setting in (*study.space.grid, *study.space.random)]
    if "epochs" in searched:
        raise SpecMalformed("halving chooses the epochs itself; search epochs without it")
    if study.spec.hyper_parameters.frozen:
        raise SpecMalformed(
            "halving begins with few epochs, and a linear layer alone (frozen=1) is learned without any: "
            "leave --halving out, or search a whole network (--recipe gpu)"
        )
    if study.spec.hyper_parameters.epochs == 0:
        raise SpecMalformed(
            "halving needs to know the epochs, and 0 leaves them to the number of photos: --set epochs=…"
        )
    if study.rungs == 1:
        raise SpecMalformed(f"halving needs at least {ETA} trials and {ETA} epochs")


def plan(study: Study, scores: Mapping[int, float | None]) -> list[Trial]:
    """Returns all trials that are certain by now; a rung begins when the one before has ended.

    `scores` are the ended trials' lower bounds of the metric, None for those that failed.
    """
    first = study.space.trials(study.trials, seed=study.spec.seed, recipe=study.spec.hyper_parameters)
    rung = [_trial(study, number, 1, None, values) for number, values in enumerate(first, start=1)]
    found = list(rung)
    for level in range(2, study.rungs + 1):
        if any(trial.number not in scores for trial in rung):
            break
        rung = [
            _trial(study, number, level, parent.number, parent.values)
            for number, parent in enumerate(_best_third(rung, scores), start=len(found) + 1)
        ]
        found += rung
    return found


def _best_third(rung: Sequence[Trial], scores: Mapping[int, float | None]) -> list[Trial]:
    ranked = [(-score, trial.number, trial) for trial in rung if (score := scores[trial.number]) is not None]
    return [trial for _, _, trial in sorted(ranked, key=lambda one: one[:2])][: math.ceil(len(rung) / ETA)]


def _trial(study: Study, number: int, rung: int, parent: int | None, values: Values) -> Trial:
    if study.rungs > 1:
        epochs = max(1, round(study.spec.hyper_parameters.epochs / ETA ** (study.rungs - rung)))
        values = {**values, "epochs": str(epochs)}
    return Trial(number=number, rung=rung, parent=parent, values=values)
