"""Start of a job: check the input, look for an existing result, write the order. Pure."""

from typing import Final

from infra.pipeline.asl import NO_SUCH_KEY, State, States, assign, catch, choice, fail, jsonata, sdk
from infra.pipeline.job.facts import RESULT, JobFacts
from infra.pipeline.job.launch import kinds
from registry.layout.jobs import JOBS

_INPUT: Final = "$states.input"


def begin(facts: JobFacts) -> States:
    """From `Check` to `NextAttempt`."""
    return {**_check(facts), "Begin": _begin(facts), **_find_result(facts), **_write_order(facts)}


def _check(facts: JobFacts) -> States:
    machine = " or ".join(f"{_INPUT}.machine = '{name}'" for name in facts.machines)
    complete = " and ".join(
        [
            f"$type({_INPUT}.job) = 'string' and $contains({_INPUT}.job, /^[a-z0-9-]{{1,64}}$/)",
            f"$type({_INPUT}.purpose) = 'string'",
            f"({machine})",
            f"$type({_INPUT}.max_seconds) = 'number' and {_INPUT}.max_seconds > 0",
            f"$type({_INPUT}.inputs) = 'object'",
        ]
    )
    return {
        "Check": choice((complete, "Begin"), default="InputInvalid"),
        "InputInvalid": fail(
            "InputInvalid",
            '"The input needs job (a-z, 0-9 and -, at most 64), purpose, machine (training or small), max_seconds and '
            'inputs. Example: docs/design/pipeline.md."',
        ),
    }


def _begin(facts: JobFacts) -> State:
    """Variables of the whole execution."""
    most = facts.settings.job_usd
    by = f"$exists({_INPUT}.requested_by) ? {_INPUT}.requested_by : $states.context.Execution.RoleArn"
    return assign(
        {
            "job": jsonata(f"{_INPUT}.job"),
            "purpose": jsonata(f"{_INPUT}.purpose"),
            "machine": jsonata(f"{_INPUT}.machine"),
            "instances": jsonata(f"$exists({_INPUT}.instances) ? {_INPUT}.instances : 1"),
            "on_demand": jsonata(f"{_INPUT}.on_demand = true"),
            "again": jsonata(f"{_INPUT}.again = true"),
            "max_seconds": jsonata(f"{_INPUT}.max_seconds"),
            "usd": jsonata(f"$min([{most}, $exists({_INPUT}.usd) ? {_INPUT}.usd : {most}])"),
            "by": jsonata(by),
            "pipeline": jsonata(f"$exists({_INPUT}.pipeline) ? {_INPUT}.pipeline : null"),
            "inputs": jsonata(f"{_INPUT}.inputs"),
            "execution": jsonata("$states.context.Execution.Name"),
            "arn": jsonata("$states.context.Execution.Id"),
            "kinds": kinds(facts),
            "launches": 0,
            "micros": 0,
            "ids": [],
            "last": {"type": "", "subnet": ""},
        },
        "FindResult",
    )


def _find_result(facts: JobFacts) -> States:
    return {
        "FindResult": sdk(
            "s3",
            "getObject",
            {"Bucket": facts.workspace, "Key": jsonata(RESULT)},
            Comment="Does a result for the same inputs exist?",
            Assign={"result": jsonata("$parse($states.result.Body)")},
            Catch=[catch(NO_SUCH_KEY, "WriteOrder")],
            Next="ResultFound",
        ),
        "ResultFound": choice(
            ("$result.status = 'succeeded'", "Done"),
            ("$result.status = 'cancelled' and $not($again)", "Cancelled"),
            default="DeleteResult",
        ),
        "DeleteResult": sdk(
            "s3",
            "deleteObject",
            {"Bucket": facts.workspace, "Key": jsonata(RESULT)},
            Comment="Retry a failed or cancelled job; its result remains as a noncurrent version.",
            Next="WriteOrder",
        ),
    }


def _write_order(facts: JobFacts) -> States:
    variables = {
        "job": "job",
        "purpose": "purpose",
        "requested_by": "by",
        "pipeline": "pipeline",
        "max_seconds": "max_seconds",
        "inputs": "inputs",
    }
    order = {"schema": "petpark.order/1"} | {name: jsonata(f"${each}") for name, each in variables.items()}
    return {
        "WriteOrder": sdk(
            "s3",
            "putObject",
            {
                "Bucket": facts.workspace,
                "Key": jsonata(f'"{JOBS}" & $job & "/order.json"'),
                "Body": order,
                "ContentType": "application/json",
                "IfNoneMatch": "*",
            },
            Comment="Create-only: a job that is run again already has an order.",
            Retry=[],
            Catch=[catch(["States.TaskFailed"], "NextAttempt")],
            Next="NextAttempt",
        )
    }
