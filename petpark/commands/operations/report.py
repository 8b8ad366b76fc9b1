"""`petpark report`."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from petpark.app import Invocation, example, group, invocation
from petpark.commands.registry.past import parse_moment
from petpark.files import write_file
from petpark.reports.facts import Unknown
from petpark.reports.month import Month, MonthInvalid, parse_zone
from petpark.reports.pages.texts import LANGUAGES, LanguageUnknown, Texts, load
from registry.clock import utc_now

if TYPE_CHECKING:
    from petpark.reports.facts import MonthFacts
    from petpark.reports.monitoring_facts import MonitoringFacts

app = group("Pages about what a stack's endpoint did: a monthly report, and a monitoring page.")

_Language = Annotated[str, typer.Option("--language", help=f"Language of the page: {', '.join(LANGUAGES)}.")]
_Zone = Annotated[str, typer.Option("--zone", help="The park's time zone, such as Europe/Madrid.")]
_Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="Output path of the HTML page.")]
_ANOTHER = "Name another: --out FILE"


@app.command(
    "month",
    epilog=example(
        "petpark report month --stack prod", "petpark report month 2026-11 --language ca --zone Europe/Madrid"
    ),
)
def month(
    ctx: typer.Context,
    named: Annotated[
        str, typer.Argument(metavar="MONTH", help="YYYY-MM. Default: the last complete month.", show_default=False)
    ] = "",
    out: _Out = Path("monthly-report.html"),
    language: _Language = LANGUAGES[0],
    zone: _Zone = "UTC",
) -> None:
    """Write a month's report for management: visits, uptime, accuracy, drift, changes, cost.

    One HTML file, which prints on at most three A4 pages. What was not measured is "unknown".
    """
    from petpark.reports.pages.month_page import month_page
    from petpark.reports.readers.collect import month_facts

    run = invocation(ctx)
    texts, where, now = _texts(language), _zone(zone), utc_now()
    try:
        asked = Month.parse(named, where) if named else Month.before(now, where)
    except MonthInvalid as error:
        raise typer.BadParameter(f"{error}.", param_hint="MONTH") from None
    if asked.start >= now:
        raise typer.BadParameter(f"{asked} has not started.", param_hint="MONTH")
    with run.output.progress("Reading records"):
        facts = month_facts(run.target(), asked, now)
    write_file(month_page(facts, texts), out, next_step=_ANOTHER)
    _print_result(run, out, _month(facts))


@app.command(
    "monitoring",
    epilog=example(
        "petpark report monitoring --stack prod", "petpark report monitoring --from 2026-11-01 --out n.html"
    ),
)
def monitoring(
    ctx: typer.Context,
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="Default: two weeks before --to.")] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Default: now.")] = "",
    out: _Out = Path("monitoring.html"),
    language: _Language = LANGUAGES[0],
    zone: _Zone = "UTC",
) -> None:
    """Write a page for engineers: traffic, drift tests, unusual photos, accuracy and versions over time, per camera."""
    from petpark.reports.pages.monitoring_page import monitoring_page
    from petpark.reports.readers.collect import DAYS, monitoring_facts

    run = invocation(ctx)
    texts, where, now = _texts(language), _zone(zone), utc_now()
    end = parse_moment(until) if until else now
    start = parse_moment(begin) if begin else end - timedelta(days=DAYS)
    if start >= end:
        raise typer.BadParameter("it must be before --to", param_hint="--from")
    with run.output.progress("Reading records"):
        facts = monitoring_facts(run.target(), start=start, end=end, now=now, zone=where)
    write_file(monitoring_page(facts, texts), out, next_step=_ANOTHER)
    _print_result(run, out, _monitoring(facts))


def _month(facts: MonthFacts) -> dict[str, Any]:
    visits, total = facts.visits, facts.costs.total
    drift = facts.drift
    return {
        "stack": facts.stack,
        "month": str(facts.month),
        "partial": facts.partial,
        "visits": None if isinstance(visits, Unknown) else visits,
        "drift_alarms": None if isinstance(drift, Unknown) else len(drift),
        "changes": len(facts.changes),
        "usd": None if isinstance(total, Unknown) else round(total, 2),
    }


def _monitoring(facts: MonitoringFacts) -> dict[str, Any]:
    return {
        "stack": facts.stack,
        "from": _iso(facts.start),
        "to": _iso(facts.end),
        "cameras": len(facts.cameras),
        "drifted": [each.name for each in facts.cameras if each.drifted],
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _print_result(run: Invocation, out: Path, facts: dict[str, Any]) -> None:
    words = {name: "unknown" if value is None else str(value) for name, value in facts.items()}
    run.output.record(
        {name.replace("_", " "): value for name, value in words.items()} | {"page": str(out)},
        facts={**facts, "page": str(out)},
    )


def _texts(language: str) -> Texts:
    try:
        return load(language)
    except LanguageUnknown as error:
        raise typer.BadParameter(f"{error}.", param_hint="--language") from None


def _zone(name: str) -> ZoneInfo:
    try:
        return parse_zone(name)
    except MonthInvalid as error:
        raise typer.BadParameter(f"{error}.", param_hint="--zone") from None
