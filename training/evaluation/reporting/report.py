"""The report of a training and its model card: the same facts for those who decide and those who use the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from registry.identity import TRAINERS
from registry.intervals import Interval
from training.evaluation.assess import Assessment
from training.evaluation.gates import GateResult
from training.evaluation.reporting import charts
from training.evaluation.reporting.formatting import percent, points
from training.evaluation.selective.abstaining import AbstentionFigures
from training.job import EpochRecord

_FOLDER: Final = Path(__file__).parent
_SHARES: Final = MappingProxyType(
    {
        "coverage": "test photos: the answer contains the class",
        "kept": "test photos: not called neither",
        "single": "test photos: answered by one class",
        "coverage_unseen": "groups left out: the answer contains the class",
        "kept_unseen": "groups left out: not called neither",
        "refused_far": "far pictures: called neither",
        "refused_near": "near pictures: called neither",
        "refused_background": "background: called neither",
    }
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """The content of a report."""

    title: str  # which version of which model
    job: str  # that trained it
    assessment: Assessment
    gates: Sequence[GateResult]
    epochs: Sequence[EpochRecord]
    counts: Mapping[str, Mapping[str, int]]  # label -> split -> photos
    hyper_parameters: Mapping[str, object]
    lineage: Mapping[str, str]
    abstained: AbstentionFigures | None = None  # None: the version cannot abstain

    @property
    def provenance(self) -> dict[str, str]:
        """Returns the lineage without people, because an endpoint shows the report. The version has all of it."""
        return {name: value for name, value in self.lineage.items() if name not in TRAINERS}

    @property
    def abstention_shares(self) -> dict[str, tuple[float, Interval]]:
        """Returns what abstention does, in words."""
        shares = self.abstained.shares if self.abstained else {}
        return {words: (shares[name].value, shares[name].interval) for name, words in _SHARES.items() if name in shares}

    @property
    def failed(self) -> list[GateResult]:
        """The gates that it was measured at and did not pass."""
        return [gate for gate in self.gates if gate.measured and not gate.passed]

    @property
    def unmeasured(self) -> list[GateResult]:
        """The gates that could not be measured; they count against the version."""
        return [gate for gate in self.gates if not gate.measured]


def write_report(report: Report, path: Path) -> None:
    """Write one HTML file that needs nothing else; all text in it is escaped."""
    chart, lines = charts.epoch_lines(report.epochs)
    path.write_text(
        _render(
            "report.html.j2",
            report,
            style=(_FOLDER / "report.css").read_text(encoding="utf-8"),
            charts=charts,
            epoch_chart=chart,
            epoch_lines=lines,
        ),
        encoding="utf-8",
    )


def write_model_card(report: Report, path: Path) -> None:
    """Write the facts as Markdown, in the order of model cards (Mitchell et al., FAT* 2019)."""
    path.write_text(_render("model-card.md.j2", report), encoding="utf-8")


def verdict(assessment: Assessment) -> str:
    """Returns in one sentence what the figures mean."""
    evaluation = assessment.evaluation
    low, high = evaluation.balanced_accuracy_interval
    chance = 1 / len(evaluation.classes)
    if low <= chance:
        return f"This model is not distinguishable from guessing: its interval reaches down to {low:.0%}."
    wrong = round((1 - evaluation.accuracy) * 100)
    return (
        f"Of 100 photos it has never seen, this model calls about {wrong} wrong. Were all classes equally common, "
        f"between {low:.0%} and {high:.0%} of its answers would be right."
    )


def _render(template: str, report: Report, **more: object) -> str:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = percent
    environment.filters["points"] = points
    return environment.get_template(template).render(
        report=report,
        tested=report.assessment,
        evaluation=report.assessment.evaluation,
        verdict=verdict(report.assessment),
        **more,
    )
