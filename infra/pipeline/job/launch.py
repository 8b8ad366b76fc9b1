"""Launch an attempt's instances with EC2 Fleet: spot, then on demand, then wait and retry. Pure."""

from typing import Any, Final

from infra.pipeline.asl import ERROR_CAUSE, States, assign, catch, choice, fail, jsonata, literal, sdk
from infra.pipeline.job.facts import ATTEMPT, END_SECONDS, RESERVATION, JobFacts, LaunchTemplate
from registry.layout.jobs import ATTEMPT_TAG, DEADLINE_TAG, EXECUTION_TAG, JOB_TAG

_NOT_LAUNCHED: Final = f'{{"error": "LaunchFailed", "cause": "EC2 refused the launch: " & {ERROR_CAUSE}}}'


def kinds(facts: JobFacts) -> dict[str, Any]:
    """Value of the variable `kinds`: launch template, prices and pools of each machine."""
    return {
        name: {
            "template": kind.template,
            "spot": kind.spot,
            "usd": dict(kind.usd_per_hour),
            "dearest": max(kind.usd_per_hour.values()),
            "overrides": _overrides(facts, kind),
        }
        for name, kind in facts.machines.items()
    }


def _overrides(facts: JobFacts, kind: LaunchTemplate) -> list[dict[str, Any]]:
    """All capacity pools in order of preference: every zone of a type before the next type."""
    pools = [(type_, subnet) for type_ in kind.usd_per_hour for subnet in facts.subnets]
    return [
        {"InstanceType": type_, "SubnetId": subnet, "Priority": priority}
        for priority, (type_, subnet) in enumerate(pools)
    ]


def launch(facts: JobFacts) -> States:
    """From `ChooseMarket` to `Boot`, or to `NoCapacity`."""
    settings = facts.settings
    after_spot = "LaunchOnDemand" if settings.on_demand_fallback else "CountTry"
    wait = f"$min([{settings.capacity_seconds} * $power(2, $tries - 1), 1800])"
    return {
        "ChooseMarket": choice(
            ("$lookup($kinds, $machine).spot and $not($on_demand)", "LaunchSpot"), default="LaunchOnDemand"
        ),
        "LaunchSpot": _fleet(facts, "spot", to="SpotLaunched"),
        "SpotLaunched": choice(("$count($ids) > 0", "RecordLaunch"), default=after_spot),
        "LaunchOnDemand": _fleet(facts, "on-demand", to="OnDemandLaunched"),
        "OnDemandLaunched": choice(("$count($ids) > 0", "RecordLaunch"), default="CountTry"),
        "CountTry": assign({"tries": jsonata("$tries + 1")}, "TriesLeft"),
        "TriesLeft": choice((f"$tries < {settings.capacity_tries}", "WaitForCapacity"), default="ReleaseLaunch"),
        "WaitForCapacity": {"Type": "Wait", "Seconds": jsonata(wait), "Next": "ChooseMarket"},
        "ReleaseLaunch": sdk(
            "s3",
            "deleteObject",
            {"Bucket": facts.workspace, "Key": jsonata(RESERVATION)},
            Next="NoCapacity",
        ),
        "NoCapacity": fail(
            "NoCapacity",
            '"EC2 has no capacity for job " & $job & ": " & $refusals & ". Start it again later, on demand, or with '
            'more types (petpark:training_instance_types)."',
        ),
        "RecordLaunch": sdk(
            "s3",
            "putObject",
            {
                "Bucket": facts.workspace,
                "Key": jsonata(f'{ATTEMPT} & "/launch.json"'),
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
    """Launch all instances of an attempt, or none.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleet.html
    """
    # If possible, a different pool from the last attempt's, which was interrupted.
    elsewhere = """(
        $all := $lookup($kinds, $machine).overrides;
        $others := $all[$not(InstanceType = $last.type and SubnetId = $last.subnet)];
        [$count($others) > 0 ? $others : $all]
    )"""
    return sdk(
        "ec2",
        "createFleet",
        {
            "Type": "instant",
            "ClientToken": jsonata(f"$substring($hash($attempt & '{market}' & $string($tries), 'SHA-256'), 0, 64)"),
            ("SpotOptions" if market == "spot" else "OnDemandOptions"): jsonata(_options(market)),
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
            "TagSpecifications": [{"ResourceType": "instance", "Tags": _tags(facts)}],
        },
        Assign=_launched(market),
        Catch=[catch(["States.ALL"], "FindInstances", failure=_NOT_LAUNCHED)],
        Next=to,
    )


def _options(market: str) -> str:
    """How EC2 chooses among the pools, as an expression."""
    strategy = {"spot": "capacity-optimized-prioritized", "on-demand": "prioritized"}[market]
    interruption = {"InstanceInterruptionBehavior": "terminate"} if market == "spot" else {}
    together = '{"SingleInstanceType": true, "SingleAvailabilityZone": true, "MinTargetCapacity": $instances}'
    return f"$merge([{literal({'AllocationStrategy': strategy} | interruption)}, $instances > 1 ? {together} : {{}}])"


def _tags(facts: JobFacts) -> list[dict[str, str]]:
    """Tags of each instance: the stack's, and those from which the instance reads its job."""
    fixed = [{"Key": key, "Value": value} for key, value in sorted(facts.tags.items())]
    deadline = f"$string($floor($millis() / 1000) + {facts.settings.boot_seconds + 2 * END_SECONDS} + $max_seconds)"
    of_the_job = {JOB_TAG: "$job", ATTEMPT_TAG: "$attempt", EXECUTION_TAG: "$arn", DEADLINE_TAG: deadline}
    return [*fixed, *({"Key": key, "Value": jsonata(value)} for key, value in of_the_job.items())]


def _launched(market: str) -> dict[str, Any]:
    """Variables assigned from EC2's response, with or without instances."""
    made = "$states.result.Instances[0]"
    return {
        "ids": jsonata("[$states.result.Instances.InstanceIds]"),
        "since": jsonata("$millis()"),  # waiting for capacity costs nothing
        "market": market,
        "refusals": jsonata("$join($distinct([$states.result.Errors.ErrorCode]), ', ')"),
        "last": jsonata(
            f'{{"type": $exists({made}) ? {made}.InstanceType : $last.type, '
            f'"subnet": $exists({made}.LaunchTemplateAndOverrides.Overrides.SubnetId) ? '
            f"{made}.LaunchTemplateAndOverrides.Overrides.SubnetId : $last.subnet}}"
        ),
    }
