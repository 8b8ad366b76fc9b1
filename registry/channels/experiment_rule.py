"""Whether a challenger won or did harm: decided from counts alone, by a rule that was stated in advance."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Final, Literal, Self

from registry.encoding import Fields
from registry.intervals import difference_interval, share_sequence, wilson_interval

type Mode = Literal["shadow", "canary", "ab"]
"""Where the challenger's answers go: nowhere, to a share of requests, to a share of callers."""

type Ruling = Literal["promote", "reject", "wait"]

Z: Final = 3.29
"""Of intervals at 99.9 %: who looks often meets a 95 % bound by luck before long."""

ALPHA: Final = 0.0005
"""Chance that an equal challenger is ever rejected for contradicting the champion, however often one looks; and as
much again for contradicting it about a single class. It holds for versions that are as often wrong as they say, and a
doubt that is known; a test simulates one that is measured."""

CLASS_DISAGREEMENT: Final = 0.5
"""Share of the photos of one class, as the champion sees it, that a canary may label differently beyond both arms'
doubt. More are two labels that changed places, which the share of all photos hides where there are many classes."""

_LEAST_OF_A_CLASS: Final = 5
"""Photos of a class from which its contradictions hold a win up until it is clear whether they do harm."""

EXAMPLES: Final = 3
"""Photos that are named for each pair of labels."""

_SHORTEST: Final = 1e-9
"""Seconds that an answer takes at least; a mean below was not measured, and nothing can be checked against it."""


class RuleInvalid(ValueError):
    """An invalid rule; the message says which limit, and what it may be."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a challenger must show. Limits are checked against the bound of an interval that is against it."""

    least: int = 500
    """Answers of each arm, or comparisons of a shadow, before it can win."""
    errors: float = 0.005
    """By how much its share of failed answers may exceed the champion's."""
    slower: float = 0.25
    """By what share of the champion's its mean time may be longer; not checked for a shadow, which runs last."""
    disagreement: float = 0.1
    """Share of photos that a shadow may label differently. In a canary or A/B test what both arms doubt is added, so
    that a challenger may contradict a champion that is unsure."""
    confidence_shift: float = 0.05
    """By how much its mean confidence may be below the champion's. Being surer is no harm by itself, as of a version
    that was trained for the night: where it is sure and wrong it contradicts the champion, and gates hold its
    calibration against labels."""

    def __post_init__(self) -> None:
        if self.least < 1:
            raise RuleInvalid(f"least is {self.least}; expected a number of answers, at least 1")
        for limit in ("errors", "slower", "disagreement", "confidence_shift"):
            value = float(getattr(self, limit))
            if not (math.isfinite(value) and value >= 0):
                raise RuleInvalid(f"{limit} is {value:g}; expected a share such as 0.05")

    @classmethod
    def read(cls, reader: Fields) -> Self:
        """Read all, strictly; ValueError."""
        limits = {limit.name: reader.number(limit.name) for limit in fields(cls) if limit.name != "least"}
        rule = cls(least=reader.count("least"), **limits)
        reader.done()
        return rule


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What one arm did: counts and sums, so that what several endpoints counted adds up."""

    answers: int = 0
    failures: int = 0  # requests that it could not answer
    seconds: float = 0.0
    seconds_squared: float = 0.0
    confidence: float = 0.0  # sum of the largest probabilities
    confidence_squared: float = 0.0

    def __add__(self, other: "Arm") -> "Arm":
        """Both together."""
        return Arm(
            answers=self.answers + other.answers,
            failures=self.failures + other.failures,
            seconds=self.seconds + other.seconds,
            seconds_squared=self.seconds_squared + other.seconds_squared,
            confidence=self.confidence + other.confidence,
            confidence_squared=self.confidence_squared + other.confidence_squared,
        )

    @classmethod
    def read(cls, reader: Fields) -> Self:
        """Read all, strictly; ValueError."""
        arm = cls(
            answers=reader.count("answers", least=0),
            failures=reader.count("failures", least=0),
            seconds=reader.number("seconds"),
            seconds_squared=reader.number("seconds_squared"),
            confidence=reader.number("confidence"),
            confidence_squared=reader.number("confidence_squared"),
        )
        reader.done()
        return arm


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Photos that the champion gave one label and the challenger another, or the same."""

    champion: str
    challenger: str
    photos: int
    doubt: float
    """Sum of what is missing to 1 in both arms' largest probabilities: if these are right, at most so many of the
    photos are expected to get two labels."""
    examples: tuple[str, ...] = ()
    """Ids of predictions, at most `EXAMPLES`; none where both agree."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.doubt) and self.doubt >= 0):
            raise ValueError(f"doubt cannot be {self.doubt}")

    def __add__(self, other: "Pair") -> "Pair":
        """Both together, of the same labels."""
        return Pair(
            champion=self.champion,
            challenger=self.challenger,
            photos=self.photos + other.photos,
            doubt=self.doubt + other.doubt,
            examples=tuple(sorted({*self.examples, *other.examples})[:EXAMPLES]),
        )

    @property
    def agrees(self) -> bool:
        """Whether it is the same label."""
        return self.champion == self.challenger

    @classmethod
    def read(cls, reader: Fields) -> Self:
        """Read all, strictly; ValueError."""
        pair = cls(
            champion=reader.text("champion"),
            challenger=reader.text("challenger"),
            photos=reader.count("photos"),
            doubt=reader.number("doubt"),
            examples=reader.texts("examples"),
        )
        reader.done()
        return pair


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Counts of an experiment, summed over all endpoints."""

    champion: Arm = field(default_factory=Arm)
    challenger: Arm = field(default_factory=Arm)
    compared: int = 0  # photos that both answered
    disagreed: int = 0  # of these, with other labels
    left_out: int = 0  # photos that a busy shadow did not look at
    endpoints: int = 0
    pairs: tuple[Pair, ...] = ()
    """Of the photos that both answered, by labels; in the order of the labels."""

    def __add__(self, other: "Evidence") -> "Evidence":
        """Both together."""
        return Evidence(
            champion=self.champion + other.champion,
            challenger=self.challenger + other.challenger,
            compared=self.compared + other.compared,
            disagreed=self.disagreed + other.disagreed,
            left_out=self.left_out + other.left_out,
            endpoints=self.endpoints + other.endpoints,
            pairs=_together(self.pairs, other.pairs),
        )

    def to_dict(self) -> dict[str, object]:
        """The JSON object that is stored; without pairs as it was before there were any."""
        stored: dict[str, object] = asdict(self)
        del stored["pairs"]
        if self.pairs:
            stored["pairs"] = [{**asdict(pair), "examples": list(pair.examples)} for pair in self.pairs]
        return stored

    @classmethod
    def read(cls, reader: Fields) -> Self:
        """Read all, strictly; ValueError."""
        evidence = cls(
            champion=Arm.read(reader.nested("champion")),
            challenger=Arm.read(reader.nested("challenger")),
            **{name: reader.count(name, least=0) for name in ("compared", "disagreed", "left_out", "endpoints")},
            pairs=tuple(map(Pair.read, reader.optional_nested_list("pairs"))),
        )
        reader.done()
        return evidence


def _together(some: tuple[Pair, ...], others: tuple[Pair, ...]) -> tuple[Pair, ...]:
    found: dict[tuple[str, str], Pair] = {}
    for pair in (*some, *others):
        labels = (pair.champion, pair.challenger)
        found[labels] = found[labels] + pair if labels in found else pair
    return tuple(found[labels] for labels in sorted(found))


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One limit, and where the challenger stands: `low` and `high` bound what it does with 99.9 % confidence."""

    limit: str
    allowed: float
    value: float
    low: float
    high: float

    @property
    def harm(self) -> bool:
        """Whether all of the interval is beyond what is allowed."""
        return self.low > self.allowed

    @property
    def kept(self) -> bool:
        """Whether all of the interval is allowed."""
        return self.high <= self.allowed

    def __str__(self) -> str:
        """Returns it as metrics."""
        return f"{self.limit} {self.value:.2%} ({self.low:.2%} to {self.high:.2%}; allowed {self.allowed:.2%})"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The rule's decision about the evidence, with reasons."""

    ruling: Ruling
    findings: tuple[Finding, ...]
    reasons: tuple[str, ...]


def judge(rule: Rule, mode: Mode, evidence: Evidence) -> Judgement:
    """Hold evidence against the rule. Harm ends it at once; a win needs enough answers, and every bound within."""
    findings = tuple(_findings(rule, mode, evidence))
    harms = tuple(str(finding) for finding in findings if finding.harm)
    if harms:
        return Judgement(ruling="reject", findings=findings, reasons=(*harms, *_contradictions(evidence)))
    seen = evidence.compared
    if mode != "shadow":
        seen = min(evidence.champion.answers, evidence.challenger.answers, sum(pair.photos for pair in evidence.pairs))
    if seen < rule.least:
        missing = f"{seen} of at least {rule.least} answers and comparisons so far"
        return Judgement(ruling="wait", findings=findings, reasons=(missing,))
    open_ = tuple(f"not sure yet: {finding}" for finding in findings if not finding.kept)
    if open_:
        return Judgement(ruling="wait", findings=findings, reasons=open_)
    return Judgement(ruling="promote", findings=findings, reasons=tuple(str(finding) for finding in findings))


def _findings(rule: Rule, mode: Mode, evidence: Evidence) -> Iterator[Finding]:
    champion, challenger = evidence.champion, evidence.challenger
    tried, ours = challenger.answers + challenger.failures, champion.answers + champion.failures
    if tried and ours:
        yield _difference_of_shares("errors", rule.errors, (challenger.failures, tried), (champion.failures, ours))
    if challenger.answers > 1 and champion.answers > 1:
        sure, usually = _moments(challenger, "confidence"), _moments(champion, "confidence")
        less = _difference_of_means("confidence_shift", rule.confidence_shift, usually, sure)
        yield replace(less, low=max(less.low, -less.allowed), high=max(less.high, -less.allowed))
        usual = champion.seconds / champion.answers
        if mode != "shadow" and usual >= _SHORTEST:
            slow = _difference_of_means(
                "slower", rule.slower, _moments(challenger, "seconds"), _moments(champion, "seconds")
            )
            yield Finding(
                limit="slower",
                allowed=rule.slower,
                value=slow.value / usual,
                # Being faster is no harm.
                low=max(slow.low / usual, -rule.slower),
                high=max(slow.high / usual, -rule.slower),
            )
    if mode == "shadow" and evidence.compared:
        low, high = wilson_interval(evidence.disagreed, evidence.compared, z=Z)
        share = evidence.disagreed / evidence.compared
        yield Finding(limit="disagreement", allowed=rule.disagreement, value=share, low=low, high=high)
    if mode != "shadow" and evidence.pairs:
        yield _beyond_doubt("disagreement", rule.disagreement, evidence.pairs, ALPHA)
        classes = sorted({pair.champion for pair in evidence.pairs})
        for label in classes:
            pairs = tuple(pair for pair in evidence.pairs if pair.champion == label)
            about = _beyond_doubt(f"disagreement about {label}", CLASS_DISAGREEMENT, pairs, ALPHA / len(classes))
            photos = sum(pair.photos for pair in pairs)
            # What few photos of a class show must not keep the challenger from winning.
            if about.harm or (photos >= _LEAST_OF_A_CLASS and about.value > about.allowed):
                yield about


def _beyond_doubt(limit: str, allowed: float, pairs: tuple[Pair, ...], alpha: float) -> Finding:
    """The share of contradictions, held against what is allowed and the mean doubt of both arms.

    Where an arm is right with the probability that it states, two arms that contradict each other are not both right,
    so the share is at most their mean doubt: a challenger is not rejected for being right where the champion is unsure.
    """
    photos = sum(pair.photos for pair in pairs)
    differ = sum(pair.photos for pair in pairs if not pair.agrees)
    low, high = share_sequence(differ, photos, alpha=alpha)
    doubt = sum(pair.doubt for pair in pairs) / photos
    return Finding(limit=limit, allowed=allowed + doubt, value=differ / photos, low=low, high=high)


def _contradictions(evidence: Evidence) -> Iterator[str]:
    """The most frequent contradictions, with ids of predictions; for the reasons of a rejection."""
    differ = sorted((pair for pair in evidence.pairs if not pair.agrees), key=lambda pair: -pair.photos)
    for pair in differ[:EXAMPLES]:
        yield f"{pair.photos} photos: {pair.champion} became {pair.challenger}, such as {', '.join(pair.examples)}"


def _moments(arm: Arm, what: Literal["confidence", "seconds"]) -> tuple[float, float]:
    """Mean, and variance of the mean."""
    sums: Mapping[str, float] = asdict(arm)
    mean = sums[what] / arm.answers
    variance = max(0.0, sums[f"{what}_squared"] / arm.answers - mean**2) * arm.answers / (arm.answers - 1)
    return mean, variance / arm.answers


def _difference_of_means(limit: str, allowed: float, one: tuple[float, float], other: tuple[float, float]) -> Finding:
    value, error = one[0] - other[0], math.sqrt(one[1] + other[1])
    return Finding(limit=limit, allowed=allowed, value=value, low=value - Z * error, high=value + Z * error)


def _difference_of_shares(limit: str, allowed: float, one: tuple[int, int], other: tuple[int, int]) -> Finding:
    """A smaller share does no harm."""
    share, rest = one[0] / one[1], other[0] / other[1]
    low, high = difference_interval(*one, *other, z=Z)
    return Finding(
        limit=limit,
        allowed=allowed,
        value=share - rest,
        low=max(low, -allowed),
        high=max(high, -allowed),
    )
