"""The state machine `job`: one job from its order to its result, whatever happens to its instances. Pure.

`docs/design/pipeline.md` is the contract with the worker.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline.asl import (
    NO_SUCH_KEY,
    States,
    assign,
    catch,
    choice,
    fail,
    jsonata,
    machine,
    sdk,
    token_task,
)
from registry.layout import ATTEMPT_TAG, DEADLINE_TAG, EXECUTION_TAG, JOB_TAG, JOBS, SPENDING

END_SECONDS: Final = 600
"""What a job may take beyond its own limit: to write its result, and to be ended."""

MOST_SECONDS: Final = 350 * 86_400
"""Of an execution; Step Functions ends each after a year."""

PAGE: Final = 300
"""Keys of one listing: the answer of 1,000 would be larger than a state's 256 KiB."""

_RESULT: Final = f'"{JOBS}" & $job & "/result.json"'
_ATTEMPT: Final = f'"{JOBS}" & $job & "/attempts/" & $attempt'
_FAILURE: Final = {"failure": '{"error": $states.errorOutput.Error, "cause": $states.errorOutput.Cause}'}
_TOKEN: Final = jsonata("$states.context.Task.Token")
_NOT_LAUNCHED: Final = '{"error": "LaunchFailed", "cause": "EC2 refused the launch: " & $states.errorOutput.Cause}'
_AGAIN: Final = ("Interrupted", "States.HeartbeatTimeout")
"""Errors after which another instance goes on from the last checkpoint."""


@dataclass(frozen=True, kw_only=True)
class LaunchTemplate:
    """Of which instances a kind of machine is made."""

    template: str
    """Id of the launch template."""
    usd_per_hour: Mapping[str, float]
    """List price of an instance with its disk, by type, in order of preference."""
    spot: bool


@dataclass(frozen=True, kw_only=True)
class JobFacts:
    """What the deployment knows."""

    workspace: str
    subnets: Sequence[str]
    """Ids, one in each zone."""
    machines: Mapping[str, LaunchTemplate]
    """`training` and `small`."""
    tags: Mapping[str, str]
    """Of every instance, besides those that tell its job."""
    settings: PipelineSettings


def definition(facts: JobFacts) -> dict[str, Any]:
    """The state machine, as Amazon States Language."""
    states = {
        **_begin(facts),
        **_afford(facts),
        **_launch(facts),
        **_work(facts),
        **_end(),
        **_settle(facts),
    }
    return machine(
        "One job: launch, boot, run, end, and again after an interruption", "Check", states, timeout=MOST_SECONDS
    )


def _begin(facts: JobFacts) -> States:
    """Check the input, look for a result, write the order."""
    bucket = facts.workspace
    kinds = {
        name: {
            "template": kind.template,
            "spot": kind.spot,
            "usd": dict(kind.usd_per_hour),
            "dearest": max(kind.usd_per_hour.values()),
            "overrides": _overrides(facts, kind),
        }
        for name, kind in facts.machines.items()
    }
    given = "$states.input"
    known = " or ".join(f"{given}.machine = '{name}'" for name in kinds)
    complete = " and ".join(
        [
            f"$type({given}.job) = 'string' and $contains({given}.job, /^[a-z0-9-]{{1,64}}$/)",
            f"$type({given}.purpose) = 'string'",
            f"({known})",
            f"$type({given}.max_seconds) = 'number' and {given}.max_seconds > 0",
            f"$type({given}.inputs) = 'object'",
        ]
    )
    order = {"schema": "petpark.order/1"} | {
        name: jsonata(f"${variable}")
        for name, variable in {
            "job": "job",
            "purpose": "purpose",
            "requested_by": "by",
            "pipeline": "pipeline",
            "max_seconds": "max_seconds",
            "inputs": "inputs",
        }.items()
    }
    return {
        "Check": choice((complete, "Begin"), default="InputInvalid"),
        "InputInvalid": fail(
            "InputInvalid",
            '"The input needs job (a-z, 0-9 and -, at most 64), purpose, machine (training or small), max_seconds and '
            'inputs; docs/design/pipeline.md has an example."',
        ),
        "Begin": assign(
            {
                "job": jsonata(f"{given}.job"),
                "purpose": jsonata(f"{given}.purpose"),
                "machine": jsonata(f"{given}.machine"),
                "instances": jsonata(f"$exists({given}.instances) ? {given}.instances : 1"),
                "on_demand": jsonata(f"{given}.on_demand = true"),
                "max_seconds": jsonata(f"{given}.max_seconds"),
                "usd": jsonata(
                    f"$min([{facts.settings.job_usd}, $exists({given}.usd) ? {given}.usd : {facts.settings.job_usd}])"
                ),
                "by": jsonata(
                    f"$exists({given}.requested_by) ? {given}.requested_by : $states.context.Execution.RoleArn"
                ),
                "pipeline": jsonata(f"$exists({given}.pipeline) ? {given}.pipeline : null"),
                "inputs": jsonata(f"{given}.inputs"),
                "execution": jsonata("$states.context.Execution.Name"),
                "arn": jsonata("$states.context.Execution.Id"),
                "kinds": kinds,
                "launches": 0,
                "tries": 0,
                "micros": 0,
                "ids": [],
                "last": {"type": "", "subnet": ""},
            },
            "Known",
        ),
        "Known": sdk(
            "s3",
            "getObject",
            {"Bucket": bucket, "Key": jsonata(_RESULT)},
            Comment="Is there a result of the same inputs already?",
            Assign={"result": jsonata("$parse($states.result.Body)")},
            Catch=[catch(NO_SUCH_KEY, "Order")],
            Next="Decided",
        ),
        "Decided": choice(
            ("$result.status = 'succeeded'", "Done"),
            ("$result.status = 'cancelled'", "Cancelled"),
            default="Forget",
        ),
        "Forget": sdk(
            "s3",
            "deleteObject",
            {"Bucket": bucket, "Key": jsonata(_RESULT)},
            Comment="A failed result stays as an old version: this execution is a new try.",
            Next="Order",
        ),
        "Order": sdk(
            "s3",
            "putObject",
            {
                "Bucket": bucket,
                "Key": jsonata(f'"{JOBS}" & $job & "/order.json"'),
                "Body": order,
                "ContentType": "application/json",
                "IfNoneMatch": "*",
            },
            Comment="Create-only: a job that is run again has its order.",
            Retry=[],
            Catch=[catch(["States.TaskFailed"], "NextAttempt")],
            Next="NextAttempt",
        ),
    }


def _overrides(facts: JobFacts, kind: LaunchTemplate) -> list[dict[str, Any]]:
    """Every pool in order of preference: all zones of a type before the next type."""
    pools = [(type_, subnet) for type_ in kind.usd_per_hour for subnet in facts.subnets]
    return [
        {"InstanceType": type_, "SubnetId": subnet, "Priority": priority}
        for priority, (type_, subnet) in enumerate(pools)
    ]


def _afford(facts: JobFacts) -> States:
    """Reserve the most that an attempt may cost, and refuse it beyond the job's or the month's cap.

    The reservation is written before the month is added up, so two jobs that start at once may both be refused, and
    never both pass. Amounts are millionths of a dollar, and the last part of their keys.
    """
    bucket, settings = facts.workspace, facts.settings
    seconds = f"({settings.boot_seconds} + $max_seconds + {END_SECONDS})"
    reserve = f"$ceil($lookup($kinds, $machine).dearest * 1000000 * $instances * {seconds} / 3600)"
    month = f'"{SPENDING}" & $substring($states.context.State.EnteredTime, 0, 7) & "/"'
    return {
        "NextAttempt": assign(
            {
                "launches": jsonata("$launches + 1"),
                "attempt": jsonata('$execution & "." & $string($launches + 1)'),
                "reserved": jsonata(reserve),
                "month": jsonata(month),
                "after": jsonata(month),
                "total": 0,
                "ids": [],
                "failure": {"error": "", "cause": ""},
                "since": jsonata("$millis()"),
            },
            "Afford",
        ),
        "Afford": choice(
            ("$micros + $reserved > $usd * 1000000", "SpendCap"),
            (f"$launches > {settings.attempts}", "TooManyAttempts"),
            default="Reserve",
        ),
        "Reserve": sdk(
            "s3",
            "putObject",
            {
                "Bucket": bucket,
                "Key": jsonata('$month & $attempt & "/reserved/" & $string($reserved)'),
                "Body": {"job": jsonata("$job")},
            },
            Next="Month",
        ),
        "Month": sdk(
            "s3",
            "listObjectsV2",
            {"Bucket": bucket, "Prefix": jsonata("$month"), "StartAfter": jsonata("$after"), "MaxKeys": PAGE},
            Assign={
                "total": jsonata(
                    "$total + $sum($append([0], [$states.result.Contents.$number($split(Key, '/')[-1])]))"
                ),
                "after": jsonata("$exists($states.result.Contents) ? $states.result.Contents[-1].Key : $after"),
                "more": jsonata("$states.result.IsTruncated = true"),
            },
            Next="MonthAdded",
        ),
        "MonthAdded": choice(
            ("$more", "Month"),
            (f"$total > {settings.month_usd * 1_000_000}", "ReleaseMonth"),
            default="Market",
        ),
        "ReleaseMonth": sdk(
            "s3",
            "deleteObject",
            {"Bucket": bucket, "Key": jsonata('$month & $attempt & "/reserved/" & $string($reserved)')},
            Next="SpendCap",
        ),
        "SpendCap": fail(
            "SpendCap",
            '"Job " & $job & ": an attempt may cost " & $string($reserved / 1000000) & " USD, " & '
            '$string($micros / 1000000) & " are spent. The caps are " & $string($usd) & " USD for the job and '
            f"{settings.month_usd} USD for the month (petpark:pipeline.job_usd, month_usd); raise them, or take fewer "
            'instances or minutes."',
        ),
        "TooManyAttempts": fail(
            "TooManyAttempts",
            f'"Job " & $job & " was interrupted {settings.attempts} times (petpark:pipeline.attempts); start it again, '
            'and it goes on from its last checkpoint."',
        ),
    }


def _launch(facts: JobFacts) -> States:
    """Launch by EC2 Fleet: spot, then on demand, then wait and try again."""
    settings = facts.settings
    after_spot = "LaunchOnDemand" if settings.on_demand_fallback else "Patience"
    wait = f"$min([{settings.capacity_seconds} * $power(2, $tries - 1), 1800])"
    return {
        "Market": choice(
            ("$lookup($kinds, $machine).spot and $not($on_demand)", "LaunchSpot"), default="LaunchOnDemand"
        ),
        "LaunchSpot": _fleet(facts, "spot", to="SpotLaunched"),
        "SpotLaunched": choice(("$count($ids) > 0", "KeepLaunch"), default=after_spot),
        "LaunchOnDemand": _fleet(facts, "on-demand", to="OnDemandLaunched"),
        "OnDemandLaunched": choice(("$count($ids) > 0", "KeepLaunch"), default="Patience"),
        "Patience": assign({"tries": jsonata("$tries + 1")}, "Patient"),
        "Patient": choice((f"$tries < {settings.capacity_tries}", "WaitForCapacity"), default="ReleaseLaunch"),
        "WaitForCapacity": {"Type": "Wait", "Seconds": jsonata(wait), "Next": "Market"},
        "ReleaseLaunch": sdk(
            "s3",
            "deleteObject",
            {"Bucket": facts.workspace, "Key": jsonata('$month & $attempt & "/reserved/" & $string($reserved)')},
            Next="NoCapacity",
        ),
        "NoCapacity": fail(
            "NoCapacity",
            '"EC2 has no instance for job " & $job & ": " & $refusals & ". Start it again later, on demand, or with '
            'more types (petpark:training_instance_types)."',
        ),
        "KeepLaunch": sdk(
            "s3",
            "putObject",
            {
                "Bucket": facts.workspace,
                "Key": jsonata(f'{_ATTEMPT} & "/launch.json"'),
                "Body": {
                    "instances": jsonata("$ids"),
                    "type": jsonata("$last.type"),
                    "subnet": jsonata("$last.subnet"),
                    "market": jsonata("$market"),
                    "refusals": jsonata("$refusals"),
                },
                "ContentType": "application/json",
            },
            Catch=[catch(["States.ALL"], "Boot")],
            Next="Boot",
        ),
    }


def _fleet(facts: JobFacts, market: str, *, to: str) -> dict[str, Any]:
    """Ask for all instances of an attempt, or none.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleet.html
    """
    strategy = {"spot": "capacity-optimized-prioritized", "on-demand": "prioritized"}[market]
    options = {"AllocationStrategy": strategy} | (
        {"InstanceInterruptionBehavior": "terminate"} if market == "spot" else {}
    )
    together = '{"SingleInstanceType": true, "SingleAvailabilityZone": true, "MinTargetCapacity": $instances}'
    fixed = [{"Key": key, "Value": value} for key, value in sorted(facts.tags.items())]
    deadline = f"$string($floor($millis() / 1000) + {facts.settings.boot_seconds + 2 * END_SECONDS} + $max_seconds)"
    of_the_job = {JOB_TAG: "$job", ATTEMPT_TAG: "$attempt", EXECUTION_TAG: "$arn", DEADLINE_TAG: deadline}
    tags = [*fixed, *({"Key": key, "Value": jsonata(value)} for key, value in of_the_job.items())]
    # Another pool than that of the last attempt, where there is one: it was interrupted there.
    elsewhere = """(
        $all := $lookup($kinds, $machine).overrides;
        $others := $all[$not(InstanceType = $last.type and SubnetId = $last.subnet)];
        [$count($others) > 0 ? $others : $all]
    )"""
    made = "$states.result.Instances[0]"
    return sdk(
        "ec2",
        "createFleet",
        {
            "Type": "instant",
            "ClientToken": jsonata(f"$substring($hash($attempt & '{market}' & $string($tries), 'SHA-256'), 0, 64)"),
            ("SpotOptions" if market == "spot" else "OnDemandOptions"): jsonata(
                f"$merge([{_json(options)}, $instances > 1 ? {together} : {{}}])"
            ),
            "LaunchTemplateConfigs": [
                {
                    "LaunchTemplateSpecification": {
                        "LaunchTemplateId": jsonata("$lookup($kinds, $machine).template"),
                        "Version": "$Latest",
                    },
                    "Overrides": jsonata(elsewhere),
                }
            ],
            "TargetCapacitySpecification": {
                "TotalTargetCapacity": jsonata("$instances"),
                "DefaultTargetCapacityType": market,
            },
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        },
        Assign={
            "ids": jsonata("[$states.result.Instances.InstanceIds]"),
            "since": jsonata("$millis()"),  # waiting for capacity costs nothing
            "market": market,
            "refusals": jsonata("$join($distinct([$states.result.Errors.ErrorCode]), ', ')"),
            "last": jsonata(
                f'{{"type": $exists({made}) ? {made}.InstanceType : $last.type, '
                f'"subnet": $exists({made}.LaunchTemplateAndOverrides.Overrides.SubnetId) ? '
                f"{made}.LaunchTemplateAndOverrides.Overrides.SubnetId : $last.subnet}}"
            ),
        },
        Catch=[catch(["States.ALL"], "FindInstances", failure=_NOT_LAUNCHED)],
        Next=to,
    )


def _json(value: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f'"{key}": "{each}"' for key, each in value.items()) + "}"


def _work(facts: JobFacts) -> States:
    """Wait for the instance: first for its start, then for the job's end."""
    settings = facts.settings
    ended = [catch(["States.ALL"], "FindInstances", **_FAILURE)]
    too_long = catch(
        ["States.Timeout"],
        "FindInstances",
        failure='{"error": "TimedOut", "cause": "not done after " & '
        '$string($max_seconds) & " s, and the instance did not end the job; give it more time"}',
    )
    silent = catch(
        ["States.HeartbeatTimeout"],
        "FindInstances",
        failure='{"error": "States.HeartbeatTimeout", "cause": "the instance did not report"}',
    )
    lost = catch(
        ["States.Timeout"],
        "FindInstances",
        failure='{"error": "Interrupted", "cause": "the instance did not start"}',
    )
    return {
        "Boot": token_task(
            facts.workspace,
            f'{_ATTEMPT} & "/boot.json"',
            {"token": _TOKEN},
            heartbeat=settings.boot_seconds,
            timeout=settings.boot_seconds + 60,
            Comment="The worker answers when it has started.",
            Catch=[silent, lost, *ended],
            Next="Run",
        ),
        "Run": token_task(
            facts.workspace,
            f'{_ATTEMPT} & "/run.json"',
            {"token": _TOKEN},
            heartbeat=settings.heartbeat_seconds,
            timeout=jsonata(f"$max_seconds + {END_SECONDS}"),
            Comment="The worker answers when the job has ended.",
            Catch=[silent, too_long, *ended],
            Next="FindInstances",
        ),
    }


def _end() -> States:
    """End all instances of the attempt, those of a launch whose answer was lost included."""
    live = ["pending", "running", "stopping", "stopped"]
    return {
        "FindInstances": sdk(
            "ec2",
            "describeInstances",
            {
                "Filters": [
                    {"Name": f"tag:{ATTEMPT_TAG}", "Values": [jsonata("$attempt")]},
                    {"Name": "instance-state-name", "Values": live},
                ]
            },
            Assign={"ids": jsonata("[$distinct($append($ids, $states.result.Reservations.Instances.InstanceId))]")},
            Catch=[catch(["States.ALL"], "AnyInstance")],
            Next="AnyInstance",
        ),
        "AnyInstance": choice(("$count($ids) > 0", "EndInstances"), default="Pay"),
        "EndInstances": sdk(
            "ec2",
            "terminateInstances",
            {"InstanceIds": jsonata("$ids")},
            Comment="What cannot be ended here, the janitor ends.",
            Catch=[catch(["States.ALL"], "Pay")],
            Next="Pay",
        ),
    }


def _settle(facts: JobFacts) -> States:
    """Replace the reservation by what the attempt cost, and decide what follows."""
    bucket = facts.workspace
    hour = "($price := $lookup($lookup($kinds, $machine).usd, $last.type); $exists($price) ? $price : 0)"
    cost = f"$ceil({hour} * 1000000 * $count($ids) * ($millis() - $since) / 3600000)"
    again = " or ".join(f"$failure.error = '{name}'" for name in _AGAIN)
    typed = """{
        "job": $job, "result": "JOBS" & $job & "/result.json", "outcome": $result.outcome, "version": $result.version,
        "digest": $result.digest, "report": $result.report, "message": $result.message, "metrics": $result.metrics,
        "usd": $micros / 1000000
    }""".replace("JOBS", JOBS)
    return {
        "Pay": assign({"paid": jsonata(cost)}, "KeepPaid"),
        "KeepPaid": sdk(
            "s3",
            "putObject",
            {
                "Bucket": bucket,
                "Key": jsonata('$month & $attempt & "/paid/" & $string($paid)'),
                "Body": {"job": jsonata("$job")},
            },
            Assign={"micros": jsonata("$micros + $paid")},
            Catch=[catch(["States.ALL"], "Ended", micros="$micros + $paid")],
            Next="Release",
        ),
        "Release": sdk(
            "s3",
            "deleteObject",
            {"Bucket": bucket, "Key": jsonata('$month & $attempt & "/reserved/" & $string($reserved)')},
            Catch=[catch(["States.ALL"], "Ended")],
            Next="Ended",
        ),
        "Ended": choice(("$failure.error = ''", "ReadResult"), (again, "NextAttempt"), default="Failed"),
        "Failed": fail("$failure.error", "$failure.cause", computed=True),
        "Cancelled": fail("Cancelled", '"Job " & $job & " was cancelled: " & $result.message'),
        "ReadResult": sdk(
            "s3",
            "getObject",
            {"Bucket": bucket, "Key": jsonata(_RESULT)},
            Assign={"result": jsonata("$parse($states.result.Body)")},
            Catch=[catch(NO_SUCH_KEY, "ResultMissing")],
            Next="Done",
        ),
        "ResultMissing": fail(
            "ResultMissing", '"The worker of job " & $job & " said that it was done, and there is no " & ' + _RESULT
        ),
        "Done": {"Type": "Pass", "Output": jsonata(typed), "End": True},
    }
