"""The purpose `report`: create report pages on an instance, close to the photos."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from petpark.data import quality_reports
from petpark.reports import stored
from petpark.reports.month import Month, MonthInvalid, parse_zone
from petpark.reports.pages.monitoring_page import monitoring_page
from petpark.reports.pages.month_mail import month_mail
from petpark.reports.pages.month_page import month_page
from petpark.reports.pages.texts import LanguageUnknown, Texts, load
from petpark.reports.readers.collect import DAYS, monitoring_facts, month_facts
from petpark.worker.order import OrderMalformed
from petpark.worker.purposes.findings import Assignment, Findings
from registry.clock import utc_now
from registry.encoding import SHA256
from training.plan import DataGates


def write(assignment: Assignment) -> Findings:
    """Create the report that the input `kind` names. Outcome: `written`. Raises OrderMalformed."""
    kind = assignment.order.inputs.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise OrderMalformed(f"invalid input kind: {kind!r}; expected one of: {', '.join(_KINDS)}")
    return _KINDS[kind](assignment)


def _quality(assignment: Assignment) -> Findings:
    """Create a dataset's quality report, even if there is one: the measurements change with the networks."""
    dataset = assignment.order.read(lambda fields: (fields.text("kind"), fields.text("dataset", SHA256)))[1]
    target = assignment.target()
    made = quality_reports.report(target, dataset, gates=DataGates())
    failed = ", ".join(gate.name for gate in made.report.failed)
    sentence = f"failed {failed}" if failed else "all gates passed"
    return Findings(
        outcome="written",
        message=f"report {made.number} of dataset {dataset[:12]}: {sentence}",
        report=f"s3://{target.outputs.data_lake}/{made.key}",
    )


def _monthly(assignment: Assignment) -> Findings:
    """Create the monthly report of `stack`; for an empty `month`, that of the last complete month in `zone`.

    The report is stored before the state machine `act` sends the message by e-mail.
    """
    kind, stack, named, language, zone_name = assignment.order.read(
        lambda fields: tuple(fields.text(name) for name in ("kind", "stack", "month", "language", "zone"))
    )
    texts, zone, now = _texts(language), _zone(zone_name), utc_now()
    try:
        month = Month.parse(named, zone) if named else Month.before(now, zone)
    except MonthInvalid as error:
        raise OrderMalformed(f"invalid input month: {error}") from error
    target = assignment.open_target(stack)
    facts = month_facts(target, month, now)
    address = stored.store(target, month_page(facts, texts), kind=kind, period=str(month), written_at=now)
    message = month_mail(facts, texts, address=address, region=target.outputs.region)
    return Findings(outcome="written", message=message, report=address)


def _monitoring(assignment: Assignment) -> Findings:
    """Create the monitoring page of `stack` for the last `DAYS` days."""
    kind, stack, language, zone_name = assignment.order.read(
        lambda fields: tuple(fields.text(name) for name in ("kind", "stack", "language", "zone"))
    )
    texts, zone, now = _texts(language), _zone(zone_name), utc_now()
    target = assignment.open_target(stack)
    facts = monitoring_facts(target, start=now - timedelta(days=DAYS), end=now, now=now, zone=zone)
    page = monitoring_page(facts, texts)
    address = stored.store(target, page, kind=kind, period=f"{now:%Y-%m-%d}", written_at=now)
    return Findings(outcome="written", message=f"monitoring page of {stack}", report=address)


def _texts(language: str) -> Texts:
    try:
        return load(language)
    except LanguageUnknown as error:
        raise OrderMalformed(f"invalid input language: {error}") from error


def _zone(name: str) -> ZoneInfo:
    try:
        return parse_zone(name)
    except MonthInvalid as error:
        raise OrderMalformed(f"invalid input zone: {error}") from error


_KINDS: Final[Mapping[str, Callable[[Assignment], Findings]]] = MappingProxyType(
    {"quality": _quality, stored.MONTHLY: _monthly, stored.MONITORING: _monitoring}
)
