"""A study as it is stored: what is searched, and its trials."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Self

from registry.encoding import Fields, canonical
from registry.halving import ETA, number_of, place, rung_epochs
from registry.identity import person
from training.errors import SpecMalformed
from training.hyper_parameters import HyperParameters
from training.job import IDENTITY, JobSpec, read_strictly
from training.search.budget import Budget
from training.search.choice import Score, ranked
from training.search.space import Space, Values, as_settings


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is searched; stored once, before anything else happens.

    `spec` is what all trials share: dataset, seed, code, who requested it, and the recipe that trials start from.
    """

    spec: JobSpec
    space: Space
    trials: int  # of the first rung: so many different settings
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
                budget=_budget(fields.mapping_to_number("budget")),
                created_at=fields.text("created_at"),
            )

        return read_strictly("study", data, read)


def _budget(stored: Mapping[str, float]) -> Budget:
    """Studies of before list prices were known also had a price of their own."""
    return Budget(max_hours=stored.get("max_hours"), max_usd=stored.get("max_usd"))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training of a study. `parent` is the trial of the rung before that had the same settings.

    Those of the first rung are stored, without the epochs that halving gives them.
    """

    number: int  # from 1: it says setting and rung, see `registry.halving.place`
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


def first_rung(study: Study) -> list[Trial]:
    """Returns the trials of the first rung, as they are stored."""
    values = study.space.trials(study.trials, seed=study.spec.seed, recipe=study.spec.hyper_parameters)
    return [Trial(number=number, rung=1, parent=None, values=each) for number, each in enumerate(values, start=1)]


def epochs_of_rungs(study: Study) -> tuple[int, ...]:
    """Returns the epochs of each rung; () where all trials are trained once."""
    return rung_epochs(study.trials, study.spec.hyper_parameters.epochs) if study.rungs > 1 else ()


def trial_of(study: Study, first: Mapping[int, Trial], number: int) -> Trial:
    """Returns the trial of a number, with its epochs; `first` are the stored ones by number."""
    setting, rung = place(number, study.trials)
    epochs = epochs_of_rungs(study)
    values = {**first[setting].values, **({"epochs": str(epochs[rung - 1])} if epochs else {})}
    parent = number_of(setting, rung - 1, study.trials) if rung > 1 else None
    return Trial(number=number, rung=rung, parent=parent, values=values)


def plan(study: Study, scores: Mapping[int, Score | None]) -> list[int]:
    """Returns the numbers of all trials that are certain by now; a rung begins when the one before has ended.

    `scores` are those of the trials that have a result, None for those that failed. The state machine `study` plans so
    too, except that a trial that ended without a result does not hold up the next rung.
    """
    rung = list(range(1, study.trials + 1))
    found = list(rung)
    for level in range(2, study.rungs + 1):
        if any(number not in scores for number in rung):
            break
        there = {number: score for number in rung if (score := scores[number]) is not None}
        kept = ranked(there)[: -(-len(rung) // ETA)]
        rung = [number_of(place(number, study.trials)[0], level, study.trials) for number in kept]
        found += rung
    return found
