"""What a rehearsal leaves behind: `summary.json` for programs, and `summary.html` for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from petpark.models.gates import Verdict
from registry.identity import person
from rehearsal.demo_users import DemoUser
from rehearsal.report import architecture, pictures, stages, timeline
from rehearsal.report.architecture import Resource
from rehearsal.report.stages import StageRecord
from rehearsal.report.steps import StepRecord
from rehearsal.report.timeline import Release
from rehearsal.scenario.moves.traffic import TrafficReport

JSON_NAME = "summary.json"
HTML_NAME = "summary.html"

_THUMBNAIL = 192
_MOST_PREDICTIONS = 24
_MOST_ERRORS = 24


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """A share of `n` photos that the model had never seen, with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One answer of an endpoint to one held-out photo.

    `photo` is the file's bytes; `activation_map` (h x w, any scale) belongs to the label that was answered.
    """

    name: str
    photo: bytes
    truth: str
    label: str
    probability: float
    activation_map: Sequence[Sequence[float]] | None = None

    @property
    def right(self) -> bool:
        """Whether the answer is the photo's label."""
        return self.label == self.truth


@dataclass(frozen=True, kw_only=True)
class Visit:
    """An animal that a camera saw: when it came, for how long, why the visit ended (empty: it did not).

    `score` is the highest probability of the label, by version `version`; `picture` is what is kept of the frame.
    """

    label: str
    at: str
    seconds: float
    score: float
    why: str
    version: int
    picture: bytes | None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The photos that the rehearsal was about. `skipped` are (path, reason).

    `report` is the file name of the page on their quality, next to the summary; empty if there is none.
    """

    source: str
    sha256: str
    photos: int
    labels: Mapping[str, int]
    splits: Mapping[str, int]
    skipped: Sequence[tuple[str, str]] = ()
    report: str = ""


@dataclass(frozen=True, kw_only=True)
class RehearsalFacts:
    """Everything that happened. What a rehearsal did not get to is None or empty."""

    started_at: datetime
    engine: str
    """What deployed the stacks: `embedded` or `pulumi`."""
    steps: Sequence[StepRecord]
    emulator_url: str
    region: str
    endpoints: Mapping[str, str] = field(default_factory=dict[str, str])
    bucket: str | None = None
    model: str | None = None
    version: int | None = None
    digest: str | None = None
    accuracy: Accuracy | None = None
    balanced_accuracy: Accuracy | None = None
    dataset: Dataset | None = None
    gates: Mapping[int, Sequence[Verdict]] = field(default_factory=dict[int, Sequence[Verdict]])
    """How each version that was trained did at the stack's gates."""
    people: Sequence[DemoUser] = ()
    """Who could act; steps and releases record who did."""
    stacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Outputs by stack."""
    resources: Mapping[str, Sequence[Resource]] = field(default_factory=dict[str, Sequence[Resource]])
    """What the engine deployed, by stack."""
    predictions: Sequence[Prediction] = ()
    releases: Sequence[Release] = ()
    traffic: TrafficReport | None = None
    visits: Sequence[Visit] = ()
    """What a camera saw meanwhile."""
    stages: Sequence[StageRecord] = ()
    """What the pipeline's executions did, stage by stage."""
    elapsed: float | None = None
    """Seconds from start to end; steps may run side by side, so their sum can be more."""
    recipe: str = ""
    """What the photos are trained by."""
    usage: Sequence[tuple[str, str]] = ()
    """(what it does, command) for a rehearsal that was kept running."""

    @property
    def ok(self) -> bool:
        """Whether every step succeeded."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    @property
    def rolled_back_in(self) -> float | None:
        """Seconds until the last endpoint served the previous version; None if not measured."""
        measured = [r.answered_after for r in self.releases if r.what == "rollback" and r.answered_after is not None]
        return max(measured, default=None)

    @property
    def seconds(self) -> float:
        """Time from start to end, or the sum of all steps if unknown."""
        return self.elapsed if self.elapsed is not None else sum(step.seconds for step in self.steps)


def write_summary(directory: Path, facts: RehearsalFacts) -> tuple[Path, Path]:
    """Write both files into `directory`, each whole or not at all; returns their paths (JSON, HTML)."""
    page = _replace(directory / HTML_NAME, render(facts))
    document = _replace(directory / JSON_NAME, json.dumps(to_json(facts), indent=2, ensure_ascii=False) + "\n")
    return document, page


def to_json(facts: RehearsalFacts) -> dict[str, Any]:
    """The contract of `summary.json`: what anything outside can hold on to."""
    return {
        "steps": [{"name": step.name, "seconds": round(step.seconds, 3), "ok": step.ok} for step in facts.steps],
        "pipeline": stages.to_json(facts.stages),
        "endpoints": dict(facts.endpoints),
        "emulator": {"url": facts.emulator_url, "region": facts.region},
        "recipe": facts.recipe,
        "registry": {"bucket": facts.bucket, "model": facts.model},
        "model": {"version": facts.version, "digest": facts.digest},
        "accuracy": asdict(facts.accuracy) if facts.accuracy else None,
        "stacks": {stack: dict(outputs) for stack, outputs in facts.stacks.items()},
    }


def render(facts: RehearsalFacts) -> str:
    """The page, self-contained: every picture is inside of it, and nothing is fetched from anywhere."""
    environment = Environment(
        loader=PackageLoader("rehearsal"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    errors = sorted((p for p in facts.predictions if not p.right), key=lambda p: -p.probability)
    longest = max((step.seconds for step in facts.steps), default=0.0)
    return environment.get_template(
        "summary.html"
    ).render(
        facts=facts,
        style=Markup(_template("summary.css")),  # noqa: S704  our own file
        headline=headline(facts),
        shares=[(step, 100 * step.seconds / longest if longest else 0.0) for step in facts.steps],
        predictions=[_card(prediction) for prediction in _mixed(facts.predictions)],
        errors=[_card(prediction) for prediction in errors[:_MOST_ERRORS]],
        error_count=len(errors),
        timeline=Markup(timeline.draw(facts.releases)) if facts.releases else None,  # noqa: S704  escapes what it draws
        drawings=[_drawing(stack, resources) for stack, resources in facts.resources.items()],
        acts=_acts(facts),
        pipelines=stages.drawn(facts.stages),
        visits=[(visit, visit.picture and pictures.thumbnail(visit.picture, _THUMBNAIL)) for visit in facts.visits],
        person=person,
    )


@dataclass(frozen=True, kw_only=True)
class _Act:
    """All that somebody did as one identity."""

    name: str
    duty: str
    identity: str
    steps: Sequence[str]


def _acts(facts: RehearsalFacts) -> list[_Act]:
    """Who did what, in the order in which they came in."""
    duties = {member.name: member.duty for member in facts.people}
    identities = dict.fromkeys(step.by for step in facts.steps if step.by)
    return [
        _Act(
            name=person(identity),
            duty=duties.get(person(identity), ""),
            identity=identity,
            steps=[step.name for step in facts.steps if step.by == identity],
        )
        for identity in identities
    ]


def _drawing(stack: str, resources: Sequence[Resource]) -> tuple[str, int, Markup]:
    """A stack's name, how many resources it has, and its picture."""
    drawn = architecture.draw(resources, title=f"Stack {stack}")
    return stack, sum(map(architecture.counts, resources)), Markup(drawn)  # noqa: S704  it escapes what it draws


def headline(facts: RehearsalFacts) -> str:
    """The result in one sentence."""
    failed = next((step for step in facts.steps if not step.ok), None)
    if failed is not None:
        return f"The rehearsal stopped at “{failed.name}”."
    if facts.version is None:
        return "The rehearsal ended without a model."
    return f"Version {facts.version} of {facts.model} is certified and answers in prod."


@dataclass(frozen=True, kw_only=True)
class _Card:
    prediction: Prediction
    picture: str | None
    heat: str | None


def _card(prediction: Prediction) -> _Card:
    heat = prediction.activation_map
    return _Card(
        prediction=prediction,
        picture=pictures.thumbnail(prediction.photo, _THUMBNAIL),
        heat=None if heat is None else pictures.heat(heat, _THUMBNAIL),
    )


def _mixed(predictions: Sequence[Prediction]) -> list[Prediction]:
    """As many as the page shows, evenly from the whole; only explained ones where there are any."""
    pool = [prediction for prediction in predictions if prediction.activation_map is not None] or predictions
    step = max(1.0, len(pool) / _MOST_PREDICTIONS)
    return [pool[int(n * step)] for n in range(min(len(pool), _MOST_PREDICTIONS))]


def _template(name: str) -> str:
    return (Path(__file__).parents[1] / "templates" / name).read_text(encoding="utf-8")


def _replace(path: Path, text: str) -> Path:
    """Write through a neighbour, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    return part.replace(path)
