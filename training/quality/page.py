"""The report as one HTML page that needs nothing else: the verdict, five cards, then what was found, with pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from registry.identity import person
from training.evaluation.reporting.formatting import percent
from training.quality.findings import Concern, Finding
from training.quality.report import QualityReport, remedies

SHOWN: Final = 24
"""Pictures of a finding; of pairs half as many pairs."""

_FOLDER: Final = Path(__file__).parent
_STYLE: Final = _FOLDER.parent / "evaluation" / "reporting" / "report.css"


def shown_of(finding: Finding) -> tuple[Concern, ...]:
    """The photos of a finding that the page shows."""
    paired = any(concern.beside for concern in finding.photos)
    return finding.photos[: SHOWN // 2 if paired else SHOWN]


def render(report: QualityReport, pictures: Mapping[str, str]) -> str:
    """Write the page; `pictures` are data URIs by hash. All text in it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    return environment.get_template("report.html.j2").render(
        report=report,
        pictures=pictures,
        style=_STYLE.read_text(encoding="utf-8") + (_FOLDER / "report.css").read_text(encoding="utf-8"),
        person=person,
        shown_of=shown_of,
        remedies=lambda finding: remedies(report.dataset, finding),
        blamed={finding.name for finding in report.blamed()},
    )
