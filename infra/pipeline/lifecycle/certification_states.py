"""Certification, the only manual approval: a decision that was signed before, e-mail, reminders, expiry. Pure.

Neither the task token nor a certificate's content is trusted: both only resume the pipeline, and the promotion to prod
verifies the certificate's signature (`registry.certificates`), which a state machine cannot.
"""

from typing import Any, Final

from infra.pipeline.asl import (
    ERROR_CAUSE,
    State,
    States,
    assign,
    catch,
    choice,
    fail,
    jsonata,
    sdk,
    task,
    token_task,
)
from infra.pipeline.job.facts import PAGE
from infra.pipeline.lifecycle.stages import FAILED, NAME, VERSION, LifecycleFacts
from registry.layout.model_store import Prefix, object_prefix
from registry.layout.workspace import PIPELINES

HOUR: Final = 3600
_NUMBER: Final = '$pad($string($version), -8, "0")'
"""A version's number as in keys (`registry.layout.model_store.certificates_prefix`)."""

_DECISION: Final = """(
        $statement := $parse($base64decode($parse($states.result.Body).payload));
        $found := $statement.predicate;
        $statement.subject[0].digest.sha256 != $substringAfter($digest, "sha256:") ? "" :
        $found.decision = "refused" ? "refused" :
        $found.decision != "certified" ? "" :
        $toMillis($substring($found.expires_at, 0, 23) & "Z") > $millis() ? "certified" : ""
    )"""
"""What a stored certificate currently says about this version's digest: `certified`, `refused`, or empty.

It is a DSSE envelope with an in-toto statement (`registry.certificates.statement`). Times have microseconds, of which
JSONata reads milliseconds.
"""


def certify(facts: LifecycleFacts, *, then: str) -> States:
    """States from `FindDecision` to `then`."""
    reminder = facts.settings.reminder_hours * HOUR
    most = -(-facts.settings.certification_days * 24 // facts.settings.reminder_hours)
    return {
        **_find_decision(facts),
        "AskForCertification": _ask(facts),
        "WaitForCertification": _wait(facts, reminder=reminder, most=most),
        "CountReminder": assign({"reminders": jsonata("$reminders + 1")}, "RemindersLeft"),
        "RemindersLeft": choice((f"$reminders < {most}", "FindDecision"), default="CertificationExpired"),
        "CertificationExpired": fail(
            "CertificationExpired",
            f'{VERSION} & " was not certified within {facts.settings.certification_days} days '
            "(petpark:pipeline.certification_days). To continue: petpark pipeline retry; finished jobs are "
            'not repeated."',
        ),
        "Certified": choice(("$decision = 'certified'", then), default="CertificationRefused"),
        "CertificationRefused": fail(
            "CertificationRefused", f'{VERSION} & " was refused by the certifier; for the reason: petpark models show"'
        ),
    }


def _find_decision(facts: LifecycleFacts) -> States:
    """Read the newest decision about the version, so that an earlier decision need not be signed again.

    If it cannot be read, a decision is requested. It is read again before each reminder, so a decision signed between
    this and the wait resumes the pipeline then.
    """
    prefix = f'"{object_prefix(facts.model, Prefix.CERTIFICATES)}" & {_NUMBER} & "/"'
    answer = "$states.result"
    return {
        "FindDecision": sdk(
            "s3",
            "listObjectsV2",
            {"Bucket": facts.model_store, "Prefix": jsonata(prefix), "MaxKeys": PAGE},
            Comment="Has the version been certified or refused already?",
            Assign={
                "decision": "",
                # Keys are listed in the order of their numbers; the newest is unknown where there are more pages.
                "key": jsonata(
                    f'{answer}.KeyCount > 0 and {answer}.IsTruncated != true ? {answer}.Contents[-1].Key : ""'
                ),
            },
            Catch=[catch(["States.ALL"], "AskForCertification")],
            Next="DecisionFound",
        ),
        "DecisionFound": choice(("$key != ''", "ReadDecision"), default="AskForCertification"),
        "ReadDecision": sdk(
            "s3",
            "getObject",
            {"Bucket": facts.model_store, "Key": jsonata("$key")},
            Assign={"decision": jsonata(_DECISION)},
            Catch=[catch(["States.ALL"], "AskForCertification")],
            Next="Decided",
        ),
        "Decided": choice(("$decision != ''", "Certified"), default="AskForCertification"),
    }


def _ask(facts: LifecycleFacts) -> State:
    """E-mail with both commands; the pipeline waits even if it cannot be sent."""
    message = (
        f'$string($reminders = 0 ? "" : "Reminder " & $string($reminders) & ": ") & "Model " & {VERSION} & '
        f'" passed its gates and its application test, and is waiting for certification."'
        ' & "\\n\\nReport: " & $report & '
        '"\\nCertify: petpark certify " & $string($version) & " --decision certified --note …"'
        ' & "\\nRefuse: petpark certify " & $string($version) & " --decision refused --note …"'
        f' & "\\nPipeline: " & {NAME}'
    )
    return task(
        "arn:aws:states:::sns:publish",
        {
            "TopicArn": facts.topic,
            "Subject": jsonata(f'"petpark: {facts.stack}: please certify " & {VERSION}'),
            "Message": jsonata(message),
        },
        Catch=[catch(["States.ALL"], "WaitForCertification")],
        Next="WaitForCertification",
    )


def _wait(facts: LifecycleFacts, *, reminder: int, most: int) -> State:
    """Wait for a decision: `reminder` seconds at a time, at most `most` times."""
    expiry = f"$fromMillis($toMillis($states.context.State.EnteredTime) + {1000 * reminder} * ({most} - $reminders))"
    body: dict[str, Any] = {
        "token": jsonata("$states.context.Task.Token"),
        "execution": jsonata(NAME),
        "version": jsonata("$version"),
        "digest": jsonata("$digest"),
        "report": jsonata("$report"),
        "expires_at": jsonata(expiry),
    }
    return token_task(
        facts.workspace,
        f'"{PIPELINES}" & {NAME} & "/certification.json"',
        body,
        heartbeat=reminder,
        timeout=reminder + 60,
        Comment="Manual approval.",
        Assign={"decision": jsonata('$states.result.decision = "certified" ? "certified" : "refused"')},
        Catch=[
            catch(["States.HeartbeatTimeout", "States.Timeout"], "CountReminder"),
            catch(
                ["States.ALL"],
                FAILED,
                failure='{"stage": "WaitForCertification", "error": $states.errorOutput.Error, '
                f'"cause": {ERROR_CAUSE}}}',
            ),
        ],
        Next="Certified",
    )
