"""The settings that a study tries: combinations of a grid, draws from ranges, or draws around a grid.

Values are texts, as `--set` takes them, so that a trial can be repeated by hand.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count as count_from
from itertools import islice, product
from typing import Final

from training.errors import SpecMalformed
from training.hyper_parameters import HyperParameters, refuse_idle

_DRAWS_PER_TRIAL: Final = 100
"""So many draws are made for a trial before the space counts as used up."""

_JOINT: Final = ("architecture", "image_size", "start_size")
"""Settings whose values must fit each other."""

type Values = Mapping[str, str]
"""Settings of one trial: name -> value."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of these, all equally likely."""

    values: tuple[str, ...]

    def at(self, place: float) -> str:
        """Returns the value at a place from 0 to below 1."""
        return self.values[int(place * len(self.values))]

    def ends(self) -> tuple[str, ...]:
        """Returns all values that have to be valid."""
        return self.values


@dataclass(frozen=True, kw_only=True)
class Range:
    """From `low` to `high`, both included; `log`: each order of magnitude is as likely as any other."""

    low: float
    high: float
    log: bool
    whole: bool  # only whole numbers

    def at(self, place: float) -> str:
        """Returns the value at a place from 0 to below 1, to four digits."""
        if self.whole:  # each whole number owns the stretch up to the next
            return str(min(max(int(self._between(place, self.high + 1)), int(self.low)), int(self.high)))
        value = float(f"{self._between(place, self.high):.4g}")
        return f"{value:.4g}" if self.low <= value <= self.high else repr(min(max(value, self.low), self.high))

    def ends(self) -> tuple[str, ...]:
        """Returns all values that have to be valid: what settings allow has no gaps."""
        return tuple(str(int(end)) if self.whole else repr(end) for end in (self.low, self.high))

    def _between(self, place: float, high: float) -> float:
        if self.log:
            return math.exp(math.log(self.low) + place * (math.log(high) - math.log(self.low)))
        return self.low + place * (high - self.low)


type Dimension = Choice | Range


@dataclass(frozen=True, kw_only=True)
class Space:
    """What may be tried, as it was requested: `name=a,b`; drawn, also `name=low..high` or `name=log:low..high`."""

    grid: tuple[str, ...] = ()
    random: tuple[str, ...] = ()

    def check(self, recipe: HyperParameters) -> None:
        """Refuse names and values that no training can mean, before anything is launched; SpecMalformed."""
        names = [setting.partition("=")[0] for setting in (*self.grid, *self.random)]
        if not names:
            raise SpecMalformed("nothing to search; give --grid name=a,b or --random name=low..high")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SpecMalformed(f"{', '.join(twice)} is searched twice; give each setting once")
        if "frozen" not in names:
            refuse_idle(recipe, names)
        dimensions: dict[str, Dimension] = {**_grid(self.grid), **_random(self.random)}
        alone = ([f"{name}={value}"] for name, one in dimensions.items() if name not in _JOINT for value in one.ends())
        joint = [[f"{name}={value}" for value in dimensions[name].ends()] for name in _JOINT if name in dimensions]
        for settings in (*alone, *product(*joint)):
            recipe.with_settings(settings)

    @property
    def combinations(self) -> int | None:
        """How many there are; None if they are drawn."""
        return None if self.random else math.prod(len(choice.values) for choice in _grid(self.grid).values())

    def draw(self, number: int, *, seed: int) -> Values:
        """Returns the settings at place `number`, from 1: a function of space, seed and number alone."""
        return next(self._draws(number, seed=seed))

    def trials(self, count: int, *, seed: int, recipe: HyperParameters) -> list[Values]:
        """Returns the first `count` distinct settings, or all if fewer; a longer list has the same beginning."""
        seen = set[tuple[str, ...]]()
        found: dict[HyperParameters, Values] = {}
        for values in islice(self._draws(1, seed=seed), self.combinations or _DRAWS_PER_TRIAL * count):
            if len(found) == count:
                break
            if tuple(values.values()) not in seen:
                seen.add(tuple(values.values()))
                found.setdefault(recipe.with_settings(as_settings(values)), values)  # 0.3 and 0.30 are one
        return list(found.values())

    def _draws(self, first: int, *, seed: int) -> Iterator[Values]:
        grid, drawn = _grid(self.grid), _random(self.random)
        points = list(product(*(choice.values for choice in grid.values())))
        for number in count_from(first):
            point = dict(zip(grid, points[(number - 1) % len(points)], strict=True))
            yield point | {name: dimension.at(_place(seed, number, name)) for name, dimension in drawn.items()}


def as_settings(values: Values) -> list[str]:
    """Write settings as `--set` takes them."""
    return [f"{name}={value}" for name, value in values.items()]


def _place(seed: int, number: int, name: str) -> float:
    # Python promises the same sequence for the same seed in every release, for seeding by text and `random()`.
    return random.Random(f"{seed}/{number}/{name}").random()  # noqa: S311 - repeatable on purpose


def _grid(settings: Sequence[str]) -> dict[str, Choice]:
    return {name: _choice(name, text) for name, text in map(_split, settings)}


def _random(settings: Sequence[str]) -> dict[str, Dimension]:
    return {name: _range(name, text) if ".." in text else _choice(name, text) for name, text in map(_split, settings)}


def _split(setting: str) -> tuple[str, str]:
    name, separator, text = setting.partition("=")
    if not separator or name not in _RECIPE:
        raise SpecMalformed(f"{setting!r} searches nothing; write name=values with one of: {', '.join(_RECIPE)}")
    return name, text


def _choice(name: str, text: str) -> Choice:
    values = tuple(value.strip() for value in text.split(","))
    if not all(values):
        raise SpecMalformed(f"{name}={text} lacks a value; write {name}=a,b,c")
    return Choice(values=tuple(dict.fromkeys(values)))


def _range(name: str, text: str) -> Range:
    body = text.removeprefix("log:")
    low_text, _, high_text = body.partition("..")
    try:
        low, high = float(low_text), float(high_text)
    except ValueError:
        raise SpecMalformed(f"{name}={text} is not a range; use {name}=low..high or {name}=log:low..high") from None
    log, whole = body != text, isinstance(_RECIPE[name], int)
    if isinstance(_RECIPE[name], str):
        raise SpecMalformed(f"{name} is not a number; use {name}=a,b")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SpecMalformed(f"{name}={text} is empty; the lower end comes first")
    if log and low <= 0:
        raise SpecMalformed(f"{name}={text}: a logarithm needs a lower end above 0")
    if whole and not (low.is_integer() and high.is_integer()):
        raise SpecMalformed(f"{name}={text}: {name} is a whole number, and so are its ends")
    return Range(low=low, high=high, log=log, whole=whole)


_RECIPE: Final[Mapping[str, object]] = asdict(HyperParameters())
