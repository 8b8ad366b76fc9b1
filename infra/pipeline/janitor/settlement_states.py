"""States of the janitor that close the reservations of stopped jobs. Pure.

An execution that is stopped (`petpark jobs cancel`, a stopped pipeline) runs no further states, so its reservation
would count towards the monthly cap until the month ends.
"""

from typing import Any, Final

from infra.pipeline.asl import NO_SUCH_KEY, States, catch, choice, jsonata, sdk
from infra.pipeline.job.facts import END_SECONDS, PAGE
from registry.layout.jobs import JOBS
from registry.layout.workspace import SPENDING

EXECUTION_GONE: Final = ("Sfn.ExecutionDoesNotExistException", "Sfn.ExecutionDoesNotExist")

_INPUT: Final = "$states.input"
_PARALLEL: Final = 5


def close_reservations(workspace: str, executions: str, *, boot_seconds: int, to: str) -> States:
    """From `ListReservations` to the state `to`: replace reservations of ended executions by their cost.

    `executions` is the prefix of the ARNs of all executions of the state machine `job`.
    """
    month = f'"{SPENDING}" & $substring($states.context.State.EnteredTime, 0, 7) & "/"'
    # A key is spending/<month>/<attempt>/reserved/<micros>; the attempt is the execution's name with a number.
    item = (
        '{"key": Key, "prefix": $join([$split(Key, "/")[[0..2]]], "/"), "attempt": $split(Key, "/")[2], '
        '"execution": $replace($split(Key, "/")[2], /[.][0-9]+$/, ""), "micros": $number($split(Key, "/")[-1])}'
    )
    return {
        "ListReservations": sdk(
            "s3",
            "listObjectsV2",
            {
                "Bucket": workspace,
                "Prefix": jsonata(month),
                "StartAfter": jsonata(f'$after = "" ? {month} : $after'),
                "MaxKeys": PAGE,
            },
            Output=jsonata(f'[$states.result.Contents[$contains(Key, "/reserved/")].{item}]'),
            Assign={
                "after": jsonata("$exists($states.result.Contents) ? $states.result.Contents[-1].Key : $after"),
                "more": jsonata("$states.result.IsTruncated = true"),
            },
            Next="CheckReservations",
        ),
        "CheckReservations": {
            "Type": "Map",
            "Items": jsonata("[$states.input]"),
            "MaxConcurrency": _PARALLEL,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "DescribeJob",
                "States": _close_if_ended(workspace, executions, boot_seconds),
            },
            "Assign": {"closed": jsonata("$append($closed, [$states.result[closed].attempt])")},
            "Next": "MoreReservations",
        },
        "MoreReservations": choice(("$more", "ListReservations"), default=to),
    }


def _close_if_ended(workspace: str, executions: str, boot_seconds: int) -> States:
    """What is done with one reservation."""
    unchanged = jsonata(_INPUT)
    attempt = {"attempt": jsonata(f"{_INPUT}.attempt")}
    keep = [catch(["States.ALL"], "KeepReservation") | {"Output": unchanged}]
    return {
        "DescribeJob": sdk(
            "sfn",
            "describeExecution",
            {"ExecutionArn": jsonata(f'"{executions}:" & {_INPUT}.execution')},
            Output=jsonata(
                f"""$merge([{_INPUT}, {{
                    "status": $states.result.Status,
                    "job": $parse($states.result.Input).job,
                    "seconds": {boot_seconds + END_SECONDS} + $parse($states.result.Input).max_seconds
                }}])"""
            ),
            Retry=[],
            # It is unknown whether the execution is running: keep the reservation.
            Catch=keep,
            Next="JobEnded",
        ),
        "JobEnded": choice((f"{_INPUT}.status = 'RUNNING'", "KeepReservation"), default="ReadLaunch"),
        **_compute_cost(workspace, keep, to="RecordCost"),
        "RecordCost": sdk(
            "s3",
            "putObject",
            {
                "Bucket": workspace,
                "Key": jsonata(f'{_INPUT}.prefix & "/paid/" & $string({_INPUT}.paid)'),
                "Body": {"job": jsonata(f"{_INPUT}.job")},
            },
            Output=unchanged,
            Catch=keep,
            Next="DeleteReservation",
        ),
        "DeleteReservation": sdk(
            "s3",
            "deleteObject",
            {"Bucket": workspace, "Key": jsonata(f"{_INPUT}.key")},
            Output=attempt | {"closed": True},
            Catch=keep,
            End=True,
        ),
        "KeepReservation": {"Type": "Pass", "Output": attempt | {"closed": False}, "End": True},
    }


def _compute_cost(workspace: str, otherwise: list[dict[str, Any]], *, to: str) -> States:
    """From `ReadLaunch` to the state `to`: put into `paid` what the job cost, from its launch to now."""
    # At the price of the most expensive type, like the reservation: an upper bound.
    share = f"$min([1, ($millis() - $toMillis({_INPUT}.since)) / 1000 / {_INPUT}.seconds])"
    return {
        "ReadLaunch": sdk(
            "s3",
            "getObject",
            {
                "Bucket": workspace,
                "Key": jsonata(f'"{JOBS}" & {_INPUT}.job & "/attempts/" & {_INPUT}.attempt & "/launch.json"'),
            },
            Output=jsonata(f'$merge([{_INPUT}, {{"since": $string($states.result.LastModified)}}])'),
            Catch=[catch(NO_SUCH_KEY, "NoCost") | {"Output": jsonata(_INPUT)}, *otherwise],
            Next="ComputeCost",
        ),
        "ComputeCost": {
            "Type": "Pass",
            "Output": jsonata(f'$merge([{_INPUT}, {{"paid": $ceil({_INPUT}.micros * {share})}}])'),
            "Next": to,
        },
        "NoCost": {"Type": "Pass", "Output": jsonata(f'$merge([{_INPUT}, {{"paid": 0}}])'), "Next": to},
    }
