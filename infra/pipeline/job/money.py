"""Budget and cost of a job. Pure.

Amounts are in millionths of a dollar and are the last part of their keys in the workspace.
"""

from infra.pipeline.asl import States, assign, catch, choice, fail, jsonata, sdk
from infra.pipeline.job.facts import END_SECONDS, LEAST_SECONDS, PAGE, RESERVATION, JobFacts
from registry.layout.workspace import SPENDING


def check_budget(facts: JobFacts) -> States:
    """Reserve an attempt's maximum cost, and refuse it if it exceeds the job's or the monthly cap.

    The reservation is written before the month is summed, so two jobs that start at once may both be refused, but
    never both pass.
    """
    return {**_reserve(facts), **_sum_month(facts), **_refuse(facts)}


def _reserve(facts: JobFacts) -> States:
    settings = facts.settings
    around = settings.boot_seconds + END_SECONDS
    second = "$lookup($kinds, $machine).dearest * 1000000 * $instances / 3600"
    # The first attempt may use the job's full time. Later ones are limited by the remaining budget.
    left = f"$floor(($usd * 1000000 - $micros) / ({second})) - {around} - 1"
    seconds = f"($launches = 0 ? $max_seconds : $min([$max_seconds, $max([{left}, {LEAST_SECONDS}])]))"
    reserve = f"$ceil({second} * ({around} + {seconds}))"
    month = f'"{SPENDING}" & $substring($states.context.State.EnteredTime, 0, 7) & "/"'
    return {
        "NextAttempt": assign(
            {
                "launches": jsonata("$launches + 1"),
                "attempt": jsonata('$execution & "." & $string($launches + 1)'),
                "seconds": jsonata(seconds),
                "reserved": jsonata(reserve),
                "month": jsonata(month),
                "after": jsonata(month),
                "total": 0,
                "tries": 0,
                "ids": [],
                "failure": {"error": "", "cause": ""},
                "since": jsonata("$millis()"),
            },
            "CheckBudget",
        ),
        "CheckBudget": choice(
            ("$micros + $reserved > $usd * 1000000", "SpendCap"),
            (f"$launches > {settings.attempts}", "TooManyAttempts"),
            default="Reserve",
        ),
        "Reserve": sdk(
            "s3",
            "putObject",
            {"Bucket": facts.workspace, "Key": jsonata(RESERVATION), "Body": {"job": jsonata("$job")}},
            Next="SumMonth",
        ),
    }


def _sum_month(facts: JobFacts) -> States:
    entries = "$states.result.Contents.$number($split(Key, '/')[-1])"
    return {
        "SumMonth": sdk(
            "s3",
            "listObjectsV2",
            {
                "Bucket": facts.workspace,
                "Prefix": jsonata("$month"),
                "StartAfter": jsonata("$after"),
                "MaxKeys": PAGE,
            },
            Assign={
                "total": jsonata(f"$total + $sum($append([0], [{entries}]))"),
                "after": jsonata("$exists($states.result.Contents) ? $states.result.Contents[-1].Key : $after"),
                "more": jsonata("$states.result.IsTruncated = true"),
            },
            Next="CheckMonth",
        ),
        "CheckMonth": choice(
            ("$more", "SumMonth"),
            (f"$total > {facts.settings.month_usd * 1_000_000}", "ReleaseMonth"),
            default="ChooseMarket",
        ),
        "ReleaseMonth": sdk(
            "s3", "deleteObject", {"Bucket": facts.workspace, "Key": jsonata(RESERVATION)}, Next="SpendCap"
        ),
    }


def _refuse(facts: JobFacts) -> States:
    settings = facts.settings
    return {
        "SpendCap": fail(
            "SpendCap",
            '"Job " & $job & ": an attempt may cost " & $string($reserved / 1000000) & " USD, and " & '
            '$string($micros / 1000000) & " USD are spent. The caps are " & $string($usd) & " USD for the job and '
            f"{settings.month_usd} USD for the month (petpark:pipeline.job_usd, month_usd); raise them, or use fewer "
            'instances or minutes."',
        ),
        "TooManyAttempts": fail(
            "TooManyAttempts",
            f'"Job " & $job & " was interrupted {settings.attempts} times (petpark:pipeline.attempts); start it again '
            'to resume from its last checkpoint."',
        ),
    }


def record_cost(facts: JobFacts) -> States:
    """Replace the reservation by the attempt's actual cost."""
    hour = "($price := $lookup($lookup($kinds, $machine).usd, $last.type); $exists($price) ? $price : 0)"
    cost = f"$ceil({hour} * 1000000 * $count($ids) * ($millis() - $since) / 3600000)"
    return {
        "ComputeCost": assign({"paid": jsonata(cost)}, "RecordCost"),
        "RecordCost": sdk(
            "s3",
            "putObject",
            {
                "Bucket": facts.workspace,
                "Key": jsonata('$month & $attempt & "/paid/" & $string($paid)'),
                "Body": {"job": jsonata("$job")},
            },
            Assign={"micros": jsonata("$micros + $paid")},
            Catch=[catch(["States.ALL"], "AttemptOutcome", micros="$micros + $paid")],
            Next="ReleaseReservation",
        ),
        "ReleaseReservation": sdk(
            "s3",
            "deleteObject",
            {"Bucket": facts.workspace, "Key": jsonata(RESERVATION)},
            Catch=[catch(["States.ALL"], "AttemptOutcome")],
            Next="AttemptOutcome",
        ),
    }
