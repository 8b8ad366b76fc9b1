"""End of an attempt: another attempt, the job's result, or an error. Pure."""

from typing import Final

from infra.pipeline.asl import NO_SUCH_KEY, States, catch, choice, fail, jsonata, sdk
from infra.pipeline.job.facts import RESULT, JobFacts
from registry.layout.jobs import JOBS

_AGAIN: Final = ("Interrupted", "States.HeartbeatTimeout")
"""Errors after which another instance resumes from the last checkpoint."""

_OUTPUT: Final = f"""{{
        "job": $job, "result": "{JOBS}" & $job & "/result.json", "outcome": $result.outcome, "version": $result.version,
        "digest": $result.digest, "report": $result.report, "message": $result.message, "metrics": $result.metrics,
        "seconds": $result.seconds, "usd": $micros / 1000000
    }}"""


def finish(facts: JobFacts) -> States:
    """From `AttemptOutcome` to the end of the execution."""
    again = " or ".join(f"$failure.error = '{name}'" for name in _AGAIN)
    return {
        "AttemptOutcome": choice(("$failure.error = ''", "ReadResult"), (again, "NextAttempt"), default="Failed"),
        "Failed": fail("$failure.error", "$failure.cause", computed=True),
        "Cancelled": fail("Cancelled", '"Job " & $job & " was cancelled: " & $result.message'),
        "ReadResult": sdk(
            "s3",
            "getObject",
            {"Bucket": facts.workspace, "Key": jsonata(RESULT)},
            Assign={"result": jsonata("$parse($states.result.Body)")},
            Catch=[catch(NO_SUCH_KEY, "ResultMissing")],
            Next="Done",
        ),
        "ResultMissing": fail(
            "ResultMissing", '"The worker of job " & $job & " reported success, but there is no " & ' + RESULT
        ),
        "Done": {"Type": "Pass", "Output": jsonata(_OUTPUT), "End": True},
    }
