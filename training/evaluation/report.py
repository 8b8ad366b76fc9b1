"""The report of a training: one HTML file that needs nothing else, for whoever has to decide about the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.evaluation.assess import Assessment
from training.job import EpochRecord

_WIDTH: Final = 640
_HEIGHT: Final = 180


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line of the chart of epochs, as an SVG path in a box of 640 × 180."""

    name: str
    path: str
    last: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a report tells."""

    title: str
    assessment: Assessment
    epochs: Sequence[EpochRecord]
    counts: Mapping[str, Mapping[str, int]]  # label -> split -> photos
    hyper_parameters: Mapping[str, object]
    lineage: Mapping[str, str]


def write_report(report: Report, path: Path) -> None:
    """Write the report as HTML; all text in it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["percent"] = _percent
    page = environment.get_template("report.html.j2").render(
        report=report,
        evaluation=report.assessment.evaluation,
        verdict=verdict(report.assessment),
        curves=curves(report.epochs),
    )
    path.write_text(page, encoding="utf-8")


def verdict(assessment: Assessment) -> str:
    """Say in one sentence what the figures mean."""
    evaluation = assessment.evaluation
    low, high = evaluation.balanced_accuracy_interval
    chance = 1 / len(evaluation.classes)
    if low <= chance:
        return f"This model cannot be told from guessing: its interval reaches down to {low:.0%}."
    wrong = round((1 - evaluation.accuracy) * 100)
    return (
        f"Of 100 photos it has never seen, this model calls about {wrong} wrong. Were all classes equally common, "
        f"between {low:.0%} and {high:.0%} of its answers would be right."
    )


def curves(epochs: Sequence[EpochRecord]) -> list[Curve]:
    """Draw accuracy and losses over epochs; losses are drawn as shares of the highest."""
    if not epochs:
        return []
    top = max(max(record.loss, record.train_loss) for record in epochs) or 1.0
    lines = {
        "accuracy on validation photos": ([record.accuracy for record in epochs], f"{epochs[-1].accuracy:.1%}"),
        "loss on validation photos": ([record.loss / top for record in epochs], f"{epochs[-1].loss:.3f}"),
        "loss in training": ([record.train_loss / top for record in epochs], f"{epochs[-1].train_loss:.3f}"),
    }
    return [Curve(name=name, path=_path(values), last=last) for name, (values, last) in lines.items()]


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _path(values: Sequence[float]) -> str:
    step = _WIDTH / max(1, len(values) - 1)
    points = [f"{place * step:.1f},{_HEIGHT * (1 - value):.1f}" for place, value in enumerate(values)]
    return "M" + " L".join(points if len(points) > 1 else [points[0], f"{_WIDTH},{points[0].split(',')[1]}"])
