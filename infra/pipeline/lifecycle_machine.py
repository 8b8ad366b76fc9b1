"""The state machine `pipeline`: from a dataset to prod, with one wait for a person. Pure."""

import json
from typing import Any, Final

from infra.pipeline.asl import States, assign, catch, choice, fail, jsonata, literal, machine, sdk, task, token_task
from infra.pipeline.job_machine import MOST_SECONDS
from infra.pipeline.search_states import search
from infra.pipeline.stages import FAILED, LifecycleFacts, job_task
from registry.layout import DATASETS, PIPELINES

HOUR: Final = 3600
_NAME: Final = "$states.context.Execution.Name"
_VERSION: Final = '"version " & $string($version)'
_REPORT: Final = '". Report: " & $report'


def definition(facts: LifecycleFacts) -> dict[str, Any]:
    """The state machine, as Amazon States Language."""
    states = {
        **_begin(facts),
        **search(facts, then="Train"),
        **_train(facts),
        **_test(facts),
        **_certify(facts),
        **_release(facts),
    }
    return machine("From a dataset to a certified version in prod", "Check", states, timeout=MOST_SECONDS)


def _begin(facts: LifecycleFacts) -> States:
    """The dataset exists, and its photos are good enough."""
    given = "$states.input"
    manifest = f'"{DATASETS}" & $dataset & ".jsonl"'
    rounds = {str(number): text.split() for number, text in enumerate(facts.settings.rounds)}
    return {
        "Check": choice(
            (f"$type({given}.dataset) = 'string' and $contains({given}.dataset, /^[0-9a-f]{{64}}$/)", "Begin"),
            default="InputInvalid",
        ),
        "InputInvalid": fail(
            "InputInvalid",
            '"The input needs a dataset, the 64 hex digits that petpark data list shows."',
        ),
        "Begin": assign(
            {
                "dataset": jsonata(f"{given}.dataset"),
                "by": jsonata(
                    f"$exists({given}.requested_by) ? {given}.requested_by : $states.context.Execution.RoleArn"
                ),
                # In one order, whatever the order in YAML: another definition would be a change to deploy.
                "gates": json.loads(json.dumps(dict(facts.gates), sort_keys=True)),
                "rounds": rounds,
                "turn": 0,
                "best": [],
                "spent": 0,
                "reminders": 0,
                "failure": {"stage": "", "error": "", "cause": ""},
            },
            "FindManifest",
        ),
        "FindManifest": sdk(
            "s3",
            "listObjectsV2",
            {"Bucket": facts.lake, "Prefix": jsonata(manifest), "MaxKeys": 1},
            Assign={"found": jsonata("$states.result.KeyCount")},
            Next="ManifestFound",
        ),
        "ManifestFound": choice(("$found > 0", "CheckDataset"), default="DatasetMissing"),
        "DatasetMissing": fail(
            "DatasetMissing",
            f'"There is no dataset " & $dataset & " ({facts.lake}/" & {manifest} & "); petpark data list shows those '
            'that exist."',
        ),
        "CheckDataset": job_task(
            facts,
            "CheckDataset",
            "dataset",
            {"dataset": "$dataset", "gates": "$gates"},
            seconds=60 * facts.settings.small_minutes,
            to="DatasetVerdict",
        ),
        "DatasetVerdict": choice(
            ("$outcome = 'passed'", "Search" if facts.settings.search else "Train"), default="DatasetRefused"
        ),
        "DatasetRefused": fail(
            "DatasetRefused", f'"Dataset " & $dataset & " did not pass the gates for photos: " & $message & {_REPORT}'
        ),
        FAILED: fail("$failure.error", '$failure.stage & ": " & $failure.cause', computed=True),
    }


def training_inputs(facts: LifecycleFacts, settings: str) -> dict[str, str]:
    """Inputs of purposes `train` and `trial`; `settings` is an expression for a list of texts."""
    return {
        "dataset": "$dataset",
        "recipe": literal(facts.settings.recipe),
        "settings": settings,
        "seed": "0",
        "gates": "$gates",
    }


def _train(facts: LifecycleFacts) -> States:
    """Train, evaluate and register; a refusal by a gate trains again as the settings say."""
    state = job_task(
        facts,
        "Train",
        "train",
        training_inputs(facts, "[$append($best, $lookup($rounds, $string($turn)))]"),
        seconds=60 * facts.settings.train_minutes,
        machine="training",
        to="Gates",
    )
    state["Assign"] |= {
        "version": jsonata("$states.result.Output.version"),
        "digest": jsonata("$states.result.Output.digest"),
    }
    return {
        "Train": state,
        "Gates": choice(
            ("$outcome = 'published'", "MoveTest"),
            (f"$turn + 1 < {len(facts.settings.rounds)}", "NextRound"),
            default="GateRefused",
            comment="Did the version pass its gates, or are there other settings to try?",
        ),
        "NextRound": assign({"turn": jsonata("$turn + 1")}, "Train", "Other settings: petpark:pipeline.rounds"),
        "GateRefused": fail(
            "GateRefused", f'"No training passed its gates; the last was " & {_VERSION} & ": " & $message & {_REPORT}'
        ),
    }


def _test(facts: LifecycleFacts) -> States:
    """Serve the version on the test endpoint, and send it photos that no training saw."""
    seconds = 60 * facts.settings.small_minutes
    version = {"version": "$version", "digest": "$digest"}
    return {
        "MoveTest": _move(facts, "MoveTest", facts.channel, "gates passed", to="TestMoved"),
        "TestMoved": choice(("$outcome = 'moved'", "ApplicationTest"), default="MoveRefused"),
        "MoveRefused": fail("MoveRefused", f'"The channel\'s rule refused " & {_VERSION} & ": " & $message'),
        "ApplicationTest": job_task(
            facts,
            "ApplicationTest",
            "application-test",
            {**version, "stack": literal(facts.stack), "dataset": "$dataset"},
            salt=_NAME,
            seconds=seconds,
            to="TestVerdict",
        ),
        "TestVerdict": choice(("$outcome = 'passed'", "AskForCertification"), default="TestRefused"),
        "TestRefused": fail(
            "TestRefused", f'"The application test refused " & {_VERSION} & ": " & $message & {_REPORT}'
        ),
    }


def _move(facts: LifecycleFacts, name: str, channel: str, why: str, *, to: str) -> dict[str, Any]:
    return job_task(
        facts,
        name,
        "move",
        {
            "version": "$version",
            "digest": "$digest",
            "channel": literal(channel),
            "why": f'"pipeline " & {_NAME} & ": {why}"',
        },
        seconds=60 * facts.settings.small_minutes,
        to=to,
    )


def _certify(facts: LifecycleFacts) -> States:
    """Wait for a person. The answer only wakes the pipeline: the move to prod verifies the signature itself."""
    settings = facts.settings
    reminder = settings.reminder_hours * HOUR
    most = -(-settings.certification_days * 24 // settings.reminder_hours)
    expiry = f"$fromMillis($toMillis($states.context.State.EnteredTime) + {1000 * reminder} * ({most} - $reminders))"
    message = (
        f'$string($reminders = 0 ? "" : "Reminder " & $string($reminders) & ": ") & "Model " & {_VERSION} & '
        f'" passed its gates and its application test, and waits for certification." & "\\n\\nReport: " & $report & '
        '"\\nCertify: petpark certify " & $string($version) & " --decision certified --note …"'
        ' & "\\nRefuse: petpark certify " & $string($version) & " --decision refused --note …"'
        f' & "\\nPipeline: " & {_NAME}'
    )
    return {
        "AskForCertification": task(
            "arn:aws:states:::sns:publish",
            {
                "TopicArn": facts.topic,
                "Subject": jsonata(f'"petpark: {facts.stack}: please certify " & {_VERSION}'),
                "Message": jsonata(message),
            },
            Catch=[catch(["States.ALL"], "WaitForCertification")],
            Next="WaitForCertification",
        ),
        "WaitForCertification": token_task(
            facts.workspace,
            f'"{PIPELINES}" & {_NAME} & "/certification.json"',
            {
                "token": jsonata("$states.context.Task.Token"),
                "execution": jsonata(_NAME),
                "version": jsonata("$version"),
                "digest": jsonata("$digest"),
                "report": jsonata("$report"),
                "expires_at": jsonata(expiry),
            },
            heartbeat=reminder,
            timeout=reminder + 60,
            Comment="The one stage at which a person decides.",
            Assign={"decision": jsonata('$states.result.decision = "certified" ? "certified" : "refused"')},
            Catch=[
                catch(["States.HeartbeatTimeout", "States.Timeout"], "Remind"),
                catch(
                    ["States.ALL"],
                    FAILED,
                    failure='{"stage": "WaitForCertification", "error": $states.errorOutput.Error, '
                    '"cause": $states.errorOutput.Cause}',
                ),
            ],
            Next="Certified",
        ),
        "Remind": assign({"reminders": jsonata("$reminders + 1")}, "Patient"),
        "Patient": choice((f"$reminders < {most}", "AskForCertification"), default="CertificationExpired"),
        "CertificationExpired": fail(
            "CertificationExpired",
            f'"Nobody certified " & {_VERSION} & " within {settings.certification_days} days '
            "(petpark:pipeline.certification_days). Start it again: petpark pipeline retry; finished jobs are "
            'not repeated."',
        ),
        "Certified": choice(("$decision = 'certified'", _after_certificate(facts)), default="CertificationRefused"),
        "CertificationRefused": fail(
            "CertificationRefused", f'{_VERSION} & " was refused by its certifier: petpark models show shows why"'
        ),
    }


def _after_certificate(facts: LifecycleFacts) -> str:
    if facts.settings.prod_stack is None:
        return "Done"
    return "Canary" if facts.settings.canary_percent else "MoveProd"


def _release(facts: LifecycleFacts) -> States:
    """Canary, move, and look at what really answers."""
    settings = facts.settings
    done = {
        "Done": {
            "Type": "Pass",
            "Output": jsonata(
                '{"dataset": $dataset, "version": $version, "digest": $digest, "report": $report, "usd": $spent}'
            ),
            "End": True,
        }
    }
    if settings.prod_stack is None:
        return done
    version = {"version": "$version", "digest": "$digest"}
    stack = {"stack": literal(settings.prod_stack)}
    canary: States = {}
    if settings.canary_percent:
        canary = {
            "Canary": job_task(
                facts,
                "Canary",
                "canary",
                {
                    **version,
                    **stack,
                    "channel": literal(settings.prod_channel),
                    "mode": '"canary"',
                    "share": str(settings.canary_percent / 100),
                    "hours": str(settings.canary_hours),
                    "why": f'"pipeline " & {_NAME}',
                },
                seconds=settings.canary_hours * HOUR + HOUR,
                to="CanaryVerdict",
            ),
            "CanaryVerdict": choice(
                ("$outcome = 'promoted' or $outcome = 'skipped'", "MoveProd"), default="CanaryRejected"
            ),
            "CanaryRejected": fail(
                "CanaryRejected", f'"The canary of " & {_VERSION} & " in prod ended as " & $outcome & ": " & $message'
            ),
        }
    return {
        **canary,
        "MoveProd": _move(facts, "MoveProd", settings.prod_channel, "certified", to="ProdMoved"),
        "ProdMoved": choice(("$outcome = 'moved'", "ReadBack"), default="MoveRefused"),
        "ReadBack": job_task(
            facts,
            "ReadBack",
            "read-back",
            {**version, **stack},
            salt=_NAME,
            seconds=60 * settings.small_minutes,
            to="ReadBackVerdict",
        ),
        "ReadBackVerdict": choice(("$outcome = 'passed'", "Done"), default="ReadBackFailed"),
        "ReadBackFailed": fail(
            "ReadBackFailed",
            f'"{settings.prod_channel} names " & {_VERSION} & ", and its endpoint answers with something else: " & '
            '$message & ". See petpark endpoints status."',
        ),
        **done,
    }
