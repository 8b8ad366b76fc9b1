"""How the pipeline runs: limits on time and money, what is searched, when it starts. Read from `petpark:pipeline`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from infra.configuration.instance_types import InstanceType, InstanceTypeUnsupported, instance_type
from infra.configuration.schedules import valid_schedule
from registry.halving import rung_epochs
from training.errors import SpecMalformed
from training.hyper_parameters import RECIPES, refuse_idle

NONE: Final = "none"

MOST_TRIALS: Final = 27
"""Trials of a search: their results travel through one state, whose input has at most 256 KiB.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""

MOST_DAYS: Final = 300
"""For which a certification is waited; an execution ends after a year.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""

_SETTINGS = re.compile(r"([a-z_]+=[^\s\"%{}]+( [a-z_]+=[^\s\"%{}]+)*)?")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_STACK = re.compile(r"[A-Za-z0-9_.-]{1,40}")
"""Part of schedule names, which have at most 64 characters."""
MOST_STACKS: Final = 10
_METRIC = re.compile(r"balanced_accuracy|accuracy|recall_(?=.{1,63}\Z)[^\s\"%{}]+( [^\s\"%{}]+)*")
"""Metrics for which trials have an interval (`training.search.choice.check_metric`).

Names of classes may have single spaces inside (`training.dataset.labels.clean_label`).
"""


class PipelineInvalid(ValueError):
    """`petpark:pipeline` cannot be used; `problems` has a sentence for each wrong name."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """What `petpark:pipeline` says. Names that it leaves out have these values."""

    small_types: tuple[InstanceType, ...] = (instance_type("c7i.xlarge"), instance_type("t3.large"))
    """Types of the machine `small`, in order of preference."""
    boot_seconds: int = 1200
    """From launch to the worker's first answer."""
    heartbeat_seconds: int = 300
    """Without a heartbeat after which a running job's instance counts as lost."""
    small_minutes: int = 60
    """That a job on the machine `small` may take, except a canary."""
    train_minutes: int = 240
    """That a training or trial may take."""
    attempts: int = 5
    """Launches of one job, for interruptions."""
    capacity_tries: int = 6
    """Rounds over all types and zones before `NoCapacity`."""
    capacity_seconds: int = 60
    """Wait after the first round without capacity; doubled after each further one."""
    on_demand_fallback: bool = True
    """Whether on-demand instances are launched where there is no spot capacity."""
    job_usd: int = 20
    execution_usd: int = 50
    month_usd: int = 300
    recipe: str = "transfer"
    rounds: tuple[str, ...] = ("",)
    """Hyperparameters of each training, as `name=value name=value`: the next is trained when a gate refuses one."""
    search: tuple[str, ...] = ()
    """Hyperparameters of the trials of a search before the training; none: no search."""
    search_epochs: int = 0
    """Epochs of the last rung of halving; 0: all trials are trained once."""
    search_parallel: int = 2
    search_metric: str = "balanced_accuracy"
    reminder_hours: int = 24
    certification_days: int = 14
    canary_percent: int = 0
    """Share of requests that the challenger answers before it is moved to prod; 0: no canary."""
    canary_hours: int = 24
    prod_stack: str | None = "prod"
    """Stack and channel to which a certified version is moved; None: the pipeline ends with the certificate."""
    prod_channel: str = "prod"
    on_manifest: bool = False
    """Whether each new dataset manifest starts a pipeline."""
    schedule: str | None = None
    """When the newest manifest starts one: an expression of EventBridge Scheduler."""
    janitor_minutes: int = 15
    drift_schedule: str | None = None
    """When drift jobs run: an EventBridge Scheduler expression."""
    drift_stacks: tuple[str, ...] = ("test", "prod")
    """Stacks whose recorded predictions they test."""
    rollback_hours: int = 24
    """An alarm does not roll back a version that had been active for longer when it started."""
    report_schedule: str | None = None
    """When the report on the last month is generated, in time zone `report_zone`."""
    monitoring_schedule: str | None = None
    """When the monitoring page is generated, in the same time zone."""
    report_language: str = "en"
    report_zone: str = "UTC"
    """The park's time zone, for reports and their schedules."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PipelineSettings":
        """Read the configuration's map, strictly. Raises `PipelineInvalid`."""
        known = {field.name: field.default for field in fields(cls)}
        wrong = [f"{name} is unknown; known are {', '.join(known)}" for name in values if name not in known]
        read: dict[str, Any] = {}
        for name in known.keys() & values.keys():
            try:
                read[name] = EXPECTED[name].read(values[name])
            except ValueError:
                wrong.append(f"{name} is {values[name]!r}; expected {EXPECTED[name].expected}")
        if wrong:
            raise PipelineInvalid(sorted(wrong))
        settings = cls(**read)
        if settings.search_epochs and len(settings.search) < 3:
            raise PipelineInvalid(["search_epochs needs at least three trials in search: a rung keeps one in three"])
        if refused := settings.refused_trainings():
            raise PipelineInvalid(refused)
        if settings.reminder_hours > settings.certification_days * 24:
            raise PipelineInvalid(["reminder_hours must be at most certification_days: a wait ends with a reminder"])
        if settings.job_usd > settings.execution_usd or settings.execution_usd > settings.month_usd:
            raise PipelineInvalid(["job_usd, execution_usd and month_usd must ascend: each contains the one before"])
        return settings

    def refused_trainings(self) -> list[str]:
        """Why trainings and trials with `recipe`, `search` and `rounds` would end with SpecMalformed; no duplicates."""
        rungs = rung_epochs(len(self.search), self.search_epochs)
        trials = {f"search {text!r}": (text, *(f"epochs={epochs}" for epochs in rungs)) for text in self.search}
        trained = {
            f"rounds {text!r}{f' after search {best!r}' if best else ''}": (best, text)
            for best in self.search or ("",)
            for text in self.rounds
        }
        problems: dict[str, str] = {}
        for name, texts in {**trials, **trained}.items():
            settings = " ".join(texts).split()
            try:
                refuse_idle(RECIPES[self.recipe].with_settings(settings), settings)
            except SpecMalformed as error:
                problems.setdefault(str(error), name)
        return [f"{name}, with recipe {self.recipe}: {problem}" for problem, name in problems.items()]


@dataclass(frozen=True)
class Expected:
    """How a name's value is read: `read` raises ValueError for what is not `expected`."""

    expected: str
    read: Callable[[Any], Any]


def _require(fits: bool) -> None:
    if not fits:
        raise ValueError


def _integer(lowest: int, highest: int) -> Expected:
    def read(value: Any) -> int:
        _require(type(value) is int and lowest <= value <= highest)
        return value

    return Expected(f"a whole number from {lowest} to {highest}", read)


def _text(pattern: re.Pattern[str], expected: str, *, absent: bool = False) -> Expected:
    def read(value: Any) -> str | None:
        _require(isinstance(value, str) and pattern.fullmatch(value) is not None)
        return None if absent and value == NONE else value

    return Expected(expected, read)


def _schedule(examples: str) -> Expected:
    def read(value: Any) -> str | None:
        _require(isinstance(value, str) and (value == NONE or valid_schedule(value)))
        return None if value == NONE else value

    return Expected(f"{examples}, or {NONE}; cron has six fields, one of its two days being ?", read)


def _list(least: int, most: int, expected: str) -> Expected:
    def read(value: Any) -> tuple[str, ...]:
        _require(isinstance(value, list) and least <= len(value) <= most)
        _require(all(isinstance(each, str) and _SETTINGS.fullmatch(each) for each in value))
        return tuple(value)

    return Expected(expected, read)


def _stacks(value: Any) -> tuple[str, ...]:
    _require(isinstance(value, list) and 1 <= len(value) <= MOST_STACKS)
    _require(all(isinstance(each, str) and _STACK.fullmatch(each) for each in value))
    _require(len(set(value)) == len(value))
    return tuple(value)


def _zone(value: Any) -> str:
    # Names of the IANA database begin so; posix/…, right/…, localtime and Factory are files of this machine's only.
    _require(isinstance(value, str) and re.fullmatch(r"(?!Factory)[A-Z][A-Za-z0-9_+/-]{1,49}", value) is not None)
    try:
        return ZoneInfo(value).key
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"{value} is not a time zone") from error


def _boolean(value: Any) -> bool:
    _require(isinstance(value, bool))
    return value


def _small_types(value: Any) -> tuple[InstanceType, ...]:
    _require(isinstance(value, list) and 1 <= len(value) <= 8)
    try:
        types = tuple(instance_type(str(name)) for name in value)
    except InstanceTypeUnsupported as error:
        raise ValueError(str(error)) from error
    _require(not any(kind.gpu for kind in types) and len({kind.architecture for kind in types}) == 1)
    return types


_USD = _integer(1, 1_000_000)
_BOOLEAN = Expected("true or false", _boolean)

EXPECTED: Final[Mapping[str, Expected]] = MappingProxyType(
    {
        "small_types": Expected("a list of 1 to 8 instance types without GPU, of one architecture", _small_types),
        "boot_seconds": _integer(30, 3600),
        "heartbeat_seconds": _integer(10, 3600),
        "small_minutes": _integer(2, 1440),
        "train_minutes": _integer(2, 10_080),
        "attempts": _integer(1, 20),
        "capacity_tries": _integer(1, 20),
        "capacity_seconds": _integer(1, 3600),
        "on_demand_fallback": _BOOLEAN,
        "job_usd": _USD,
        "execution_usd": _USD,
        "month_usd": _USD,
        "recipe": _text(re.compile("|".join(RECIPES)), f"the name of a recipe: {', '.join(RECIPES)}"),
        "rounds": _list(1, 10, 'a list of 1 to 10 texts such as "views=8 flips=1", or ""'),
        "search": _list(0, MOST_TRIALS, f"a list of at most {MOST_TRIALS} texts such as views=8, or []"),
        "search_epochs": _integer(0, 10_000),
        "search_parallel": _integer(1, MOST_TRIALS),
        "search_metric": _text(_METRIC, "balanced_accuracy, accuracy, or recall_ and a class, such as recall_dog"),
        "reminder_hours": _integer(1, 24 * 30),
        "certification_days": _integer(1, MOST_DAYS),
        "canary_percent": _integer(0, 50),
        "canary_hours": _integer(1, 24 * 14),
        "prod_stack": _text(_NAME, f"the name of a stack, or {NONE}", absent=True),
        "prod_channel": _text(re.compile(r"[a-z][a-z0-9-]{0,30}"), "the name of a channel"),
        "on_manifest": _BOOLEAN,
        "schedule": _schedule("rate(7 days), cron(0 3 * * ? *)"),
        "janitor_minutes": _integer(1, 1440),
        "drift_schedule": _schedule("rate(6 hours), cron(30 * * * ? *)"),
        "drift_stacks": Expected(f"a list of 1 to {MOST_STACKS} stacks", _stacks),
        "rollback_hours": _integer(1, 24 * 30),
        "report_schedule": _schedule("cron(0 6 1 * ? *)"),
        "monitoring_schedule": _schedule("rate(1 day), cron(0 6 * * ? *)"),
        "report_language": _text(re.compile("en|es|ca"), "en, es or ca"),
        "report_zone": Expected("a time zone such as Europe/Madrid, or UTC", _zone),
    }
)
"""How each name is read, and how `docs/settings.md` describes it."""
