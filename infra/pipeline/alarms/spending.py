"""States that sum the month's spending on jobs and publish it as a metric. Pure."""

from typing import Final

from infra.pipeline.asl import States, assign, catch, choice, jsonata, sdk
from infra.pipeline.job.facts import PAGE
from registry.layout.workspace import SPENDING

METRIC: Final = "spending-usd"
"""Name of the metric, without the stack's name in front."""


def spending_states(workspace: str, *, namespace: str, stack: str, to: str) -> States:
    """From `SumSpending` to the state `to`: reservations count as spent, as for the monthly cap."""
    month = f'"{SPENDING}" & $substring($states.context.State.EnteredTime, 0, 7) & "/"'
    return {
        "SumSpending": assign({"month": jsonata(month), "after": jsonata(month), "micros": 0}, "ListSpending"),
        "ListSpending": sdk(
            "s3",
            "listObjectsV2",
            {"Bucket": workspace, "Prefix": jsonata("$month"), "StartAfter": jsonata("$after"), "MaxKeys": PAGE},
            Assign={
                "micros": jsonata(
                    "$micros + $sum($append([0], [$states.result.Contents.$number($split(Key, '/')[-1])]))"
                ),
                "after": jsonata("$exists($states.result.Contents) ? $states.result.Contents[-1].Key : $after"),
                "more": jsonata("$states.result.IsTruncated = true"),
            },
            Next="MoreSpending",
        ),
        "MoreSpending": choice(("$more", "ListSpending"), default="PublishSpending"),
        "PublishSpending": sdk(
            "cloudwatch",
            "putMetricData",
            {
                "Namespace": namespace,
                "MetricData": [{"MetricName": f"{stack}-{METRIC}", "Value": jsonata("$micros / 1000000")}],
            },
            Catch=[catch(["States.ALL"], to)],
            Next=to,
        ),
    }
