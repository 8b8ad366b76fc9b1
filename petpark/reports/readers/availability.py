"""Availability of a month, from the metrics of a stack's availability objective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from petpark.reports.facts import Availability, Requests, Unknown, Why

if TYPE_CHECKING:
    from petpark.reports.month import Month
    from petpark.targets.stacks import AvailabilityOutputs, MetricOutputs

_HOUR: Final = 3600
"""Hourly sums, which add up to days of any time zone. CloudWatch keeps hourly values for 455 days.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html"""


def read_availability(
    client: Any, outputs: AvailabilityOutputs | None, month: Month, until: datetime
) -> Availability | Unknown:
    """Sum requests and failed requests by local day, from the month's start to `until`, with a CloudWatch `client`."""
    if outputs is None or until <= month.start:
        return Unknown(why=Why.NO_METRICS)
    try:
        sums = _sums(client, outputs, month.start, until)
    except (ClientError, BotoCoreError):
        return Unknown(why=Why.NO_ACCESS)
    if not any(sums):
        return Unknown(why=Why.NO_METRICS)
    bad, uncounted = sums[: len(outputs.bad)], sums[len(outputs.bad) : -1]
    days: dict[date, Requests] = {}
    for day in month.days:
        wrong = _of_day(bad, month, day)
        total = _of_day((*uncounted, sums[-1]), month, day)
        if total or wrong:
            days[day] = Requests(total=total, bad=wrong)
    found = Availability(objective=outputs.objective, days=days)
    return found if found.all.total else Unknown(why=Why.NO_REQUESTS)


def _of_day(sums: Sequence[Mapping[datetime, float]], month: Month, day: date) -> int:
    return round(sum(value for each in sums for at, value in each.items() if month.day_of(at) == day))


def _sums(client: Any, outputs: AvailabilityOutputs, start: datetime, end: datetime) -> list[dict[datetime, float]]:
    """Hourly sums of each metric: the bad ones, those that the total does not count, the total."""
    metrics = (*outputs.bad, *outputs.uncounted, outputs.total)
    found: list[dict[datetime, float]] = [{} for _ in metrics]
    for result in _results(client, [_query(n, metric) for n, metric in enumerate(metrics)], start, end):
        values = found[int(result["Id"].removeprefix("m"))]
        values.update(zip(result["Timestamps"], result["Values"], strict=True))
    return found


def _query(number: int, metric: MetricOutputs) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions.items()]
    named = {"Namespace": metric.namespace, "MetricName": metric.metric, "Dimensions": dimensions}
    return {"Id": f"m{number}", "MetricStat": {"Metric": named, "Period": _HOUR, "Stat": "Sum"}}


def _results(client: Any, queries: Sequence[Any], start: datetime, end: datetime) -> Iterator[Mapping[str, Any]]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html"""
    token: dict[str, str] = {}
    while True:
        page = client.get_metric_data(MetricDataQueries=queries, StartTime=start, EndTime=end, **token)
        yield from page["MetricDataResults"]
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}
