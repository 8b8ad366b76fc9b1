"""Templates, and formats of figures on both pages."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petpark.reports.facts import Share, Unknown

if TYPE_CHECKING:
    from jinja2 import Environment

    from petpark.reports.pages.texts import Texts


def render(template: str, t: Texts, **values: Any) -> str:
    """Fill a template of this package."""
    return _environment().get_template(template).render(t=t, style=_style(), **values)


def estimate(t: Texts, share: Share | Unknown) -> str:
    """Format an accuracy with its interval, or "unknown"."""
    if isinstance(share, Unknown):
        return t("unknown")
    low, high = (t.number(100 * bound, 1) for bound in share.interval)
    return f"{t.percent(share.value)} ({low}–{high})"


def interval(t: Texts, share: Share) -> str:
    """Format an interval."""
    return t("month.interval", low=t.percent(share.interval[0]), high=t.percent(share.interval[1]))


def why(t: Texts, found: object) -> str:
    """Return why something is unknown; empty if it is known."""
    return t(f"unknown.{found.why}") if isinstance(found, Unknown) else ""


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> str:
    """The shared style sheet of reports and the additions of these pages."""
    parts = (("training.evaluation.reporting", "report.css"), ("petpark.reports.pages", "report.css"))
    return "\n".join(resources.files(package).joinpath(name).read_text("utf-8") for package, name in parts)
