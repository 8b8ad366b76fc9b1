"""One attempt of a job: wait for the instance to boot, wait for the result, terminate the instances. Pure."""

from typing import Final

from infra.pipeline.asl import ERROR_CAUSE, States, catch, choice, jsonata, sdk, token_task
from infra.pipeline.job.facts import ATTEMPT, END_SECONDS, JobFacts
from registry.layout.jobs import ATTEMPT_TAG

_FAILURE: Final = {"failure": f'{{"error": $states.errorOutput.Error, "cause": {ERROR_CAUSE}}}'}
_TOKEN: Final = jsonata("$states.context.Task.Token")


def work(facts: JobFacts) -> States:
    """Wait for the worker: first until it has started, then until the job has ended."""
    settings = facts.settings
    ended = [catch(["States.ALL"], "FindInstances", **_FAILURE)]
    too_long = catch(
        ["States.Timeout"],
        "FindInstances",
        failure='{"error": $seconds < $max_seconds ? "SpendCap" : "TimedOut", "cause": "not finished after " & '
        '$string($seconds) & " s, and the worker did not stop the job; allow more " & '
        '($seconds < $max_seconds ? "money (petpark:pipeline.job_usd)" : "time")}',
    )
    silent = catch(
        ["States.HeartbeatTimeout"],
        "FindInstances",
        failure='{"error": "States.HeartbeatTimeout", "cause": "the instance sent no heartbeat"}',
    )
    lost = catch(
        ["States.Timeout"],
        "FindInstances",
        failure='{"error": "Interrupted", "cause": "the instance did not start"}',
    )
    return {
        "Boot": token_task(
            facts.workspace,
            f'{ATTEMPT} & "/boot.json"',
            {"token": _TOKEN},
            heartbeat=settings.boot_seconds,
            timeout=settings.boot_seconds + 60,
            Comment="The worker completes this task when it has started.",
            Catch=[silent, lost, *ended],
            Next="Run",
        ),
        "Run": token_task(
            facts.workspace,
            f'{ATTEMPT} & "/run.json"',
            {"token": _TOKEN, "seconds": jsonata("$seconds")},
            heartbeat=settings.heartbeat_seconds,
            timeout=jsonata(f"$seconds + {END_SECONDS}"),
            Comment="The worker completes this task when the job has ended.",
            Catch=[silent, too_long, *ended],
            Next="FindInstances",
        ),
    }


def end() -> States:
    """Terminate all instances of the attempt, including those of a launch whose response was lost."""
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
            Catch=[catch(["States.ALL"], "InstancesFound")],
            Next="InstancesFound",
        ),
        "InstancesFound": choice(("$count($ids) > 0", "EndInstances"), default="ComputeCost"),
        "EndInstances": sdk(
            "ec2",
            "terminateInstances",
            {"InstanceIds": jsonata("$ids")},
            Comment="If this fails, the janitor terminates them.",
            Catch=[catch(["States.ALL"], "ComputeCost")],
            Next="ComputeCost",
        ),
    }
