"""The state machine `janitor`: ends instances of jobs that are past their deadline, or for which nobody waits. Pure."""

from typing import Any, Final

from infra.pipeline.asl import assign, catch, choice, jsonata, machine, sdk
from registry.layout import DEADLINE_TAG, EXECUTION_TAG

PAGE: Final = 20
"""Instances of one look: each is described in some 5 KB, and a state's result has at most 256 KiB."""

PARALLEL: Final = 5


def definition(stack: str) -> dict[str, Any]:
    """The state machine, as Amazon States Language. `stack` is the value of the tag `petpark:stack`."""
    found = (
        "$states.result.Reservations.Instances.{"
        f"'id': InstanceId, 'deadline': $number(Tags[Key='{DEADLINE_TAG}'].Value), "
        f"'execution': Tags[Key='{EXECUTION_TAG}'].Value}}"
    )
    return machine(
        "End instances of jobs that nobody needs",
        "Begin",
        {
            "Begin": assign({"page": {}}, "Look"),
            "Look": sdk(
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
                Next="Each",
            ),
            "Each": {
                "Type": "Map",
                "Items": jsonata("[$states.input]"),
                "MaxConcurrency": PARALLEL,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "INLINE"},
                    "StartAt": "Overdue",
                    "States": _each(),
                },
                "Output": {"looked": jsonata("$count($states.result)"), "ended": jsonata("[$states.result[ended].id]")},
                "Next": "More",
            },
            "More": choice(("$count($keys($page)) > 0", "Look"), default="Done"),
            "Done": {"Type": "Succeed"},
        },
        timeout=900,
    )


def _each() -> dict[str, Any]:
    given = jsonata("$states.input")
    return {
        "Overdue": choice(("$states.input.deadline < $millis() / 1000", "End"), default="Execution"),
        "Execution": sdk(
            "sfn",
            "describeExecution",
            {"ExecutionArn": jsonata("$states.input.execution")},
            Output=jsonata('$merge([$states.input, {"status": $states.result.Status}])'),
            Retry=[],
            Catch=[
                catch(["Sfn.ExecutionDoesNotExistException", "Sfn.ExecutionDoesNotExist"], "End") | {"Output": given},
                # Whether anybody waits is not known: the next look tries again.
                catch(["States.ALL"], "Keep") | {"Output": given},
            ],
            Next="Waiting",
        ),
        "Waiting": choice(("$states.input.status = 'RUNNING'", "Keep"), default="End"),
        "Keep": {"Type": "Pass", "Output": {"id": jsonata("$states.input.id"), "ended": False}, "End": True},
        "End": sdk(
            "ec2",
            "terminateInstances",
            {"InstanceIds": [jsonata("$states.input.id")]},
            Output={"id": jsonata("$states.input.id"), "ended": True},
            Catch=[catch(["States.ALL"], "Keep") | {"Output": given}],
            End=True,
        ),
    }
