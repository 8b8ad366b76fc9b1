"""What is asked of photos and models before people are: the names by which stacks, jobs and versions speak of it.

A stack's YAML says the values (`petpark:gates`), `infra` checks and exports them, a job carries them, `training`
judges by them, and a version's metrics tell which gates it passed. Nothing here knows a cloud or a library, so that all
of them can import it. `training.evaluation.plan` and `training.dataset.quality.gates` say what each name means, and
hold the same names.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Self, cast

PREFIX: Final = "gate_"
"""Of the metrics of a version that say whether it passed a gate: 1 or 0."""

UNMEASURED: Final = "unmeasured_"
"""Of the metrics of a version that say which of its gates at 0 could not be measured: 1."""


class State(StrEnum):
    """How a version did at a gate."""

    PASSED = "passed"
    FAILED = "failed"
    UNMEASURED = "not measured"
    """Counts against the version like a failed one, until somebody who knows the reason overrides it by name."""


class Stricter(StrEnum):
    """Which way a gate asks for more."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a gate's value can be, and which way it is stricter."""

    stricter: Stricter
    most: float = 1.0
    off: float | None = None  # the value that asks for nothing, where that is not the end of the scale

    @property
    def expected(self) -> str:
        """What a value may be, as the end of a sentence."""
        return f"a number from 0 to {self.most:g}" if math.isfinite(self.most) else "a number of 0 or above"

    def takes(self, value: float) -> bool:
        """Whether a value can mean anything."""
        return 0 <= value <= self.most and math.isfinite(value)

    def loosens(self, held: float, asked: float) -> bool:
        """Whether `asked` would let something through that `held` does not."""
        if held == self.off or asked == self.off:
            return held != asked and asked == self.off
        return asked < held if self.stricter is Stricter.HIGHER else asked > held


_LEAST = Gate(stricter=Stricter.HIGHER)
_MOST = Gate(stricter=Stricter.LOWER)

MODEL_GATES: Final[Mapping[str, Gate]] = MappingProxyType(
    {
        "accuracy": _LEAST,
        "recall": _LEAST,
        "slice_gap": _MOST,
        "calibration_error": _MOST,
        "robustness_drop": _MOST,
        "consistency": _LEAST,
        "abstention_coverage": _LEAST,
        "abstention_kept": _LEAST,
        "abstention_refused_far": _LEAST,
        "abstention_refused_near": _LEAST,
        # Below this p-value being worse than `prod` counts, so a higher one refuses more.
        "luck": _LEAST,
        "milliseconds": Gate(stricter=Stricter.LOWER, most=math.inf, off=0.0),
    }
)

DATA_GATES: Final[Mapping[str, Gate]] = MappingProxyType(
    {
        "label_noise": _MOST,
        "rarest_class": _LEAST,
        "hours": Gate(stricter=Stricter.HIGHER, most=24.0),
        "without_camera": _MOST,
        "without_time": _MOST,
        "unusable": _MOST,
        "near_duplicates": _MOST,
        "contradictions": _MOST,
        "camera_bias": _MOST,
        "leaks": Gate(stricter=Stricter.LOWER, most=math.inf),
        "unclear": _MOST,
        "greyscale": _MOST,
        "unlike": _MOST,
        "days": Gate(stricter=Stricter.LOWER, most=math.inf, off=0.0),
    }
)

CHECKS: Final[Mapping[str, type[str | int | float]]] = MappingProxyType(
    {
        "positive": str,
        "false_positive_cost": float,
        "false_negative_cost": float,
        "photos": int,
        "calls": int,
        "int8": int,
    }
)
"""How a model is tested: names, and what their values are."""


def judged(metrics: Mapping[str, float]) -> dict[str, bool]:
    """Name the gates that a version with these metrics was held against, and whether it passed; empty: none."""
    return {name.removeprefix(PREFIX): bool(value) for name, value in metrics.items() if name.startswith(PREFIX)}


def states(metrics: Mapping[str, float]) -> dict[str, State]:
    """Name the gates that a version with these metrics was held against, and how it did; empty: none."""
    return {
        name: State.PASSED if passed else State.UNMEASURED if metrics.get(UNMEASURED + name) else State.FAILED
        for name, passed in judged(metrics).items()
    }


def figures(metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns a version's metrics without what they say of gates."""
    return {name: value for name, value in metrics.items() if not name.startswith((PREFIX, UNMEASURED))}


def failed(metrics: Mapping[str, float]) -> tuple[str, ...]:
    """Name the gates that a version with these metrics did not pass: failed, or not measured."""
    return tuple(name for name, passed in judged(metrics).items() if not passed)


ALL: Final = "all"
"""Stands for every gate, of a version for which no gate was checked."""


def open_gates(metrics: Mapping[str, float]) -> dict[str, str]:
    """The gates that stand against a version with these metrics, and why: failed, or not measured.

    A training names each gate that it was asked for in the metrics, those too that it could not measure.
    Empty where it passed them all. A version that was held against none has the one entry `all`.
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
    """What a stack asks. A name that it leaves out has petpark's own value; no `data` at all asks for no report."""

    data: Mapping[str, float] = field(default_factory=dict[str, float])
    model: Mapping[str, float] = field(default_factory=dict[str, float])
    checks: Mapping[str, str | int | float] = field(default_factory=dict[str, str | int | float])

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The form in which a stack's configuration and its outputs say it."""
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
