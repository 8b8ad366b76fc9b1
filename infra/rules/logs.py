"""Logs: kept for a stated time."""

from collections.abc import Iterator

from infra.rules.resource import Resource
from infra.rules.rule import Context, Rule


def _retention(resource: Resource, _context: Context) -> Iterator[str]:
    if not resource.get("retentionInDays"):
        yield "keeps its logs forever; set retentionInDays (petpark:log_days)"


RULES = (
    Rule(
        name="log-retention",
        demands="Each log group states for how many days it keeps logs.",
        why="Without it CloudWatch keeps them forever: the cost only grows, and no caller's address is ever deleted.",
        source="https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Working-with-log-groups-and-streams.html",
        kinds=frozenset({"cloudwatch.LogGroup"}),
        each=_retention,
    ),
)
