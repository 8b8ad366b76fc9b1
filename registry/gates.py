"""Quality gates for photos and models: the names and defaults that stacks, jobs and versions use.

A stack's YAML has the values (`petpark:gates`), `infra` checks and exports them, a job carries them, `training`
applies them, and a version's metrics show which gates it passed. This module has no dependencies, so that all of them
can import it. `ModelGates`, `DataGates` and `ModelChecks` are the only tables of gates and checks.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Self, cast

PREFIX: Final = "gate_"
"""Prefix of a version's metrics that show whether it passed a gate: 1 or 0."""

UNMEASURED: Final = "unmeasured_"
"""Prefix of a version's metrics that show which of its gates at 0 could not be measured: 1."""


class State(StrEnum):
    """How a version did at a gate."""

    PASSED = "passed"
    FAILED = "failed"
    UNMEASURED = "not measured"
    """Counts against the version like a failed one, until a person who knows the reason overrides it by name."""


class Stricter(StrEnum):
    """The direction in which a gate is stricter."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a gate's value can be, and which way it is stricter."""

    stricter: Stricter
    most: float = 1.0
    off: float | None = None  # the value that requires nothing, if it is not the end of the scale
    what: str = ""  # what a data gate limits, for its results
    unit: str = "%"  # of a data gate; a share from 0 to 1 is written in percent, or without a unit as a number
    characteristic: str = ""  # of data quality, that a data gate belongs to

    @property
    def expected(self) -> str:
        """What a value may be, as the end of a sentence."""
        return f"a number from 0 to {self.most:g}" if math.isfinite(self.most) else "a number of 0 or above"

    def takes(self, value: float) -> bool:
        """Whether a value can mean anything."""
        return 0 <= value <= self.most and math.isfinite(value)

    def is_off(self, value: float) -> bool:
        """Whether nothing can fail at `value`."""
        end = 0.0 if self.stricter is Stricter.HIGHER else self.most
        return value == (end if self.off is None else self.off)

    def meets(self, value: float, limit: float) -> bool:
        """Whether a measured value passes."""
        return value >= limit if self.stricter is Stricter.HIGHER else value <= limit

    def loosens(self, required: float, requested: float) -> bool:
        """Whether `requested` would accept something that `required` does not."""
        if required == self.off or requested == self.off:
            return required != requested and requested == self.off
        return requested < required if self.stricter is Stricter.HIGHER else requested > required


def _at_least[T: (int, float)](usual: T, what: str = "", **settings: Any) -> T:
    return field(default=usual, metadata={_GATE: Gate(stricter=Stricter.HIGHER, what=what, **settings)})


def _at_most[T: (int, float)](usual: T, what: str = "", **settings: Any) -> T:
    return field(default=usual, metadata={_GATE: Gate(stricter=Stricter.LOWER, what=what, **settings)})


_GATE: Final = "gate"


@dataclass(frozen=True, kw_only=True)
class ModelGates:
    """What a version must show: each field is a gate, with petpark's own value.

    Each value is compared with the bound of a 95 % interval that is against the version. petpark's own values are a
    floor below which a model is useless; users set their own in its stack's YAML. A new gate is a field here
    and a function in `training.evaluation.gates`, which measures it.
    """

    accuracy: float = _at_least(0.6)  # lower bound
    recall: float = _at_least(0.4)  # of the class found least: lower bound
    slice_gap: float = _at_most(0.4)  # that a slice may be behind all other photos: upper bound of the worst
    calibration_error: float = _at_most(0.2)  # the estimate, which overstates on few photos
    robustness_drop: float = _at_most(0.4)  # accuracy lost under corruptions, their mean: upper bound
    consistency: float = _at_least(0.5)  # share of photos that keep their answer when moved or encoded again
    abstention_coverage: float = _at_least(0.0)  # share of answers that contain the class, when abstaining: on unseen
    # groups if there are groups; 0: off
    abstention_kept: float = _at_least(0.0)  # share of photos of the classes that are not called neither, likewise
    abstention_refused_far: float = _at_least(0.0)  # share of noise, gradients and plain colours called neither
    abstention_refused_near: float = _at_least(0.0)  # share of test photos with shuffled pieces called neither
    luck: float = _at_least(0.05)  # p-value of McNemar's test below which being worse than `prod` is not taken for
    # luck; a higher one refuses more
    milliseconds: float = _at_most(0.0, most=math.inf, off=0.0)  # for one photo, 99th percentile, on the machine that
    # trained; 0: off


@dataclass(frozen=True, kw_only=True)
class DataGates:
    """What a dataset must show: each field is a gate, with petpark's own value, which ordinary photos keep.

    Shares are from 0 to 1. A new gate is a field here and a measure of the same name in a module of
    `training.quality.characteristics`. A limit at which nothing can fail turns the gate off.
    """

    label_noise: float = _at_most(0.05, "photos whose label is contradicted", characteristic="accuracy")
    rarest_class: float = _at_least(
        0.1, "photos of the rarest class, of an equal part", characteristic="completeness"
    )  # an equal part: what it had if all classes were equally large
    hours: int = _at_least(0, "hours of the day with photos", most=24.0, unit=" h", characteristic="completeness")
    without_camera: float = _at_most(1.0, "photos of unknown cameras", characteristic="completeness")
    without_time: float = _at_most(1.0, "photos of unknown times", characteristic="completeness")
    unusable: float = _at_most(0.2, "files that are not complete photos", characteristic="reliability")
    near_duplicates: float = _at_most(0.5, "photos that look like another", characteristic="reliability")
    contradictions: float = _at_most(0.01, "photos that look like one with another label", characteristic="reliability")
    camera_bias: float = _at_most(
        0.8, "how well the camera predicts the class (0 to 1)", unit="", characteristic="reliability"
    )  # Cramér's V
    leaks: int = _at_most(
        0, "pairs that show the same in two splits", most=math.inf, unit=" pairs", characteristic="reliability"
    )
    unclear: float = _at_most(0.2, "photos that are blurred, dark, overexposed or tiny", characteristic="relevance")
    greyscale: float = _at_most(1.0, "photos without colour", characteristic="relevance")  # nights have none
    unlike: float = _at_most(0.05, "photos unlike all others", characteristic="relevance")
    days: float = _at_most(
        0.0, "days since a camera's newest photo", most=math.inf, off=0.0, unit=" days", characteristic="timeliness"
    )


@dataclass(frozen=True, kw_only=True)
class ModelChecks:
    """How a model is tested: each field is a check, with petpark's own value."""

    positive: str = ""  # the class that raises an alarm; empty: the last of the labels
    false_positive_cost: float = 1.0  # of an alarm without its class, against that of a class without its alarm
    false_negative_cost: float = 1.0
    photos: int = 100  # most that are corrupted, moved and encoded again
    calls: int = 60  # timed classifications of one photo
    int8: int = 2  # also try an eight-bit model, and serve it if it is as good and faster: 1 of any network, 0 of none,
    # 2 of those that were made for it


def _gates(declared: type[ModelGates | DataGates]) -> Mapping[str, Gate]:
    return MappingProxyType({each.name: each.metadata[_GATE] for each in fields(declared)})


MODEL_GATES: Final = _gates(ModelGates)
DATA_GATES: Final = _gates(DataGates)
CHECKS: Final[Mapping[str, type[str | int | float]]] = MappingProxyType(
    {name: type(value) for name, value in asdict(ModelChecks()).items()}
)
"""What the value of each check is."""


def judged(metrics: Mapping[str, float]) -> dict[str, bool]:
    """Name the gates that a version with these metrics was checked against, and whether it passed; empty: none."""
    return {name.removeprefix(PREFIX): bool(value) for name, value in metrics.items() if name.startswith(PREFIX)}


def states(metrics: Mapping[str, float]) -> dict[str, State]:
    """Name the gates that a version with these metrics was checked against, and how it did; empty: none."""
    return {
        name: State.PASSED if passed else State.UNMEASURED if metrics.get(UNMEASURED + name) else State.FAILED
        for name, passed in judged(metrics).items()
    }


def figures(metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns a version's metrics without those of gates."""
    return {name: value for name, value in metrics.items() if not name.startswith((PREFIX, UNMEASURED))}


def failed(metrics: Mapping[str, float]) -> tuple[str, ...]:
    """Name the gates that a version with these metrics did not pass: failed, or not measured."""
    return tuple(name for name, passed in judged(metrics).items() if not passed)


ALL: Final = "all"
"""Stands for every gate, of a version for which no gate was checked."""


def open_gates(metrics: Mapping[str, float]) -> dict[str, str]:
    """The gates that stand against a version with these metrics, and why: failed, or not measured.

    A training names each requested gate in the metrics, those too that it could not measure.
    Empty where it passed them all. A version that was checked against none has the one entry `all`.
    """
    known = states(metrics)
    if not known:
        return {ALL: "no gate was checked"}
    return dict(sorted((name, str(state)) for name, state in known.items() if state is not State.PASSED))


class GatesInvalid(ValueError):
    """A stack's gates cannot be used; `problems` are sentences that begin with what is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, kw_only=True)
class StackGates:
    """A stack's gates. A missing name has petpark's default; without `data` no report is required."""

    data: Mapping[str, float] = field(default_factory=dict[str, float])
    model: Mapping[str, float] = field(default_factory=dict[str, float])
    checks: Mapping[str, str | int | float] = field(default_factory=dict[str, str | int | float])

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The form in a stack's configuration and outputs."""
        return {"data": dict(self.data), "model": dict(self.model), "checks": dict(self.checks)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The opposite of `to_dict`, strict: all three parts and no other, known names only; GatesInvalid."""
        wanted = tuple(cls.__dataclass_fields__)
        if set(values) != set(wanted):
            raise GatesInvalid([f"it has the parts {', '.join(values) or 'none'}; expected {', '.join(wanted)}"])
        wrong: list[str] = []
        read = cls(
            data=_part("data", values["data"], _data, wrong),
            model=_part("model", values["model"], _model, wrong),
            checks=_part("checks", values["checks"], _check, wrong),
        )
        if wrong:
            raise GatesInvalid(wrong)
        return read


def _part[T](name: str, values: object, read: Callable[[str, object], T], wrong: list[str]) -> Mapping[str, T]:
    """Read one part by `read`, whose ValueErrors become sentences in `wrong`."""
    if not isinstance(values, Mapping):
        wrong.append(f"{name} is {values!r}; expected a map from names to values, or {{}}")
        return {}
    found: dict[str, T] = {}
    for key, value in cast("Mapping[str, object]", values).items():
        try:
            found[key] = read(key, value)
        except ValueError as problem:
            wrong.append(f"{name}.{key} {problem}")
    return MappingProxyType(found)


def _data(name: str, value: object) -> float:
    return _within(_known(name, DATA_GATES, "gate of data"), value)


def _model(name: str, value: object) -> float:
    return _within(_known(name, MODEL_GATES, "gate"), value)


def _within(gate: Gate, value: object) -> float:
    number = _number(value, gate.expected)
    if not gate.takes(number):
        raise ValueError(f"is {value!r}; expected {gate.expected}")
    return number


def _check(name: str, value: object) -> str | int | float:
    kind = _known(name, CHECKS, "check")
    if kind is str:
        if not isinstance(value, str):
            raise ValueError(f"is {value!r}; expected a text")
        return value
    expected = "a whole number of 0 or above" if kind is int else "a number of 0 or above"
    number = _number(value, expected)
    # Pulumi carries every number as a float.
    if number < 0 or (kind is int and not number.is_integer()):
        raise ValueError(f"is {value!r}; expected {expected}")
    return kind(number)


def _known[T](name: str, known: Mapping[str, T], what: str) -> T:
    if name not in known:
        raise ValueError(f"is not a known {what}; available: {', '.join(known)}")
    return known[name]


def _number(value: object, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"is {value!r}; expected {expected}")
    return float(value)
