"""The state machine `janitor`: terminates orphaned instances and closes reservations of stopped jobs. Pure.

An instance is orphaned if it is past its deadline or its job's execution has ended. Then the janitor publishes the
month's spending, for the alarm `spending`.
"""

from dataclasses import dataclass
from typing import Any, Final

from infra.pipeline.alarms.spending import spending_states
from infra.pipeline.asl import States, assign, catch, choice, jsonata, machine, sdk
from infra.pipeline.janitor.settlement_states import EXECUTION_GONE, close_reservations
from registry.layout.jobs import DEADLINE_TAG, EXECUTION_TAG

PAGE: Final = 20
"""Instances per request: each takes some 5 KB, and a state's result may have at most 256 KiB."""

PARALLEL: Final = 5


@dataclass(frozen=True, kw_only=True)
class JanitorFacts:
    """Inputs from the deployment."""

    stack: str
    """Value of the instances' tag `petpark:stack`."""
    workspace: str
    job: str
    """ARN of the alias of the state machine `job`."""
    boot_seconds: int
    namespace: str
    """Of the metric of the month's spending."""


def definition(facts: JanitorFacts) -> dict[str, Any]:
    """The state machine, as Amazon States Language."""
    executions = facts.job.replace(":stateMachine:", ":execution:").rpartition(":")[0]
    return machine(
        "Terminate orphaned instances, close reservations of stopped jobs, and publish the month's spending",
        "Begin",
        {
            "Begin": assign({"page": {}, "checked": 0, "terminated": [], "after": "", "closed": []}, "ListInstances"),
            **_terminate_orphans(facts.stack, to="ListReservations"),
            **close_reservations(facts.workspace, executions, boot_seconds=facts.boot_seconds, to="SumSpending"),
            **spending_states(facts.workspace, namespace=facts.namespace, stack=facts.stack, to="Done"),
            "Done": {
                "Type": "Succeed",
                "Output": {
                    "checked": jsonata("$checked"),
                    "terminated": jsonata("[$terminated]"),
                    "closed": jsonata("[$closed]"),
                },
            },
        },
        timeout=900,
    )


def _terminate_orphans(stack: str, *, to: str) -> States:
    """From `ListInstances` to the state `to`: check all instances of jobs, page by page."""
    found = (
        "$states.result.Reservations.Instances.{"
        f"'id': InstanceId, 'deadline': $number(Tags[Key='{DEADLINE_TAG}'].Value), "
        f"'execution': Tags[Key='{EXECUTION_TAG}'].Value}}"
    )
    return {
        "ListInstances": sdk(
            "ec2",
            "describeInstances",
            jsonata(
                f"""$merge([$page, {{
                        "MaxResults": {PAGE},
                        "Filters": [
                            {{"Name": "tag-key", "Values": ["{EXECUTION_TAG}"]}},
                            {{"Name": "tag:petpark:stack", "Values": ["{stack}"]}},
                            {{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}}
                        ]
                    }}])"""
            ),
            Output=jsonata(f"[{found}]"),
            Assign={
                "page": jsonata(
                    "$exists($states.result.NextToken) and $states.result.NextToken != null ? "
                    '{"NextToken": $states.result.NextToken} : {}'
                )
            },
            Next="CheckInstances",
        ),
        "CheckInstances": {
            "Type": "Map",
            "Items": jsonata("[$states.input]"),
            "MaxConcurrency": PARALLEL,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "PastDeadline",
                "States": _terminate_if_orphaned(),
            },
            "Assign": {
                "checked": jsonata("$checked + $count($states.result)"),
                "terminated": jsonata("$append($terminated, [$states.result[terminated].id])"),
            },
            "Next": "MoreInstances",
        },
        "MoreInstances": choice(("$count($keys($page)) > 0", "ListInstances"), default=to),
    }


def _terminate_if_orphaned() -> States:
    """What is done with one instance."""
    unchanged = jsonata("$states.input")
    return {
        "PastDeadline": choice(
            ("$states.input.deadline < $millis() / 1000", "TerminateInstance"), default="DescribeExecution"
        ),
        "DescribeExecution": sdk(
            "sfn",
            "describeExecution",
            {"ExecutionArn": jsonata("$states.input.execution")},
            Output=jsonata('$merge([$states.input, {"status": $states.result.Status}])'),
            Retry=[],
            Catch=[
                catch(EXECUTION_GONE, "TerminateInstance") | {"Output": unchanged},
                # It is unknown whether the execution is running: the next run tries again.
                catch(["States.ALL"], "KeepInstance") | {"Output": unchanged},
            ],
            Next="ExecutionRunning",
        ),
        "ExecutionRunning": choice(("$states.input.status = 'RUNNING'", "KeepInstance"), default="TerminateInstance"),
        "KeepInstance": {
            "Type": "Pass",
            "Output": {"id": jsonata("$states.input.id"), "terminated": False},
            "End": True,
        },
        "TerminateInstance": sdk(
            "ec2",
            "terminateInstances",
            {"InstanceIds": [jsonata("$states.input.id")]},
            Output={"id": jsonata("$states.input.id"), "terminated": True},
            Catch=[catch(["States.ALL"], "KeepInstance") | {"Output": unchanged}],
            End=True,
        ),
    }
