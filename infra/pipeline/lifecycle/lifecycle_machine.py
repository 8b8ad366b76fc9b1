"""The state machine `pipeline`: from a dataset to prod, with one wait for a person. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Final

from infra.pipeline.asl import States, assign, choice, fail, jsonata, literal, machine, sdk
from infra.pipeline.job_machine import MOST_SECONDS
from infra.pipeline.lifecycle.certification_states import HOUR, certify
from infra.pipeline.lifecycle.stages import (
    CANARY_SPARE_SECONDS,
    FAILED,
    NAME,
    SYNC,
    VERSION,
    LifecycleFacts,
    job_task,
    stage_failed,
)
from registry.halving import rung_epochs
from registry.layout.data_lake import DATASETS

_REPORT: Final = '". Report: " & $report'


def definition(facts: LifecycleFacts) -> dict[str, Any]:
    """The state machine, as Amazon States Language."""
    states = {
        **_begin(facts),
        **_search(facts),
        **_train(facts),
        **_test(facts),
        **certify(facts, then=_after_certificate(facts)),
        **_release(facts),
    }
    return machine("From a dataset to a certified version in prod", "Check", states, timeout=MOST_SECONDS)


def _begin(facts: LifecycleFacts) -> States:
    """The dataset exists, and its photos are good enough."""
    given = "$states.input"
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
                # A person wants it again, so what was cancelled before is done now.
                "again": jsonata(f"$exists({given}.force)"),
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
        **_find_manifest(facts.lake, to="CheckDataset"),
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


def _find_manifest(lake: str, *, to: str) -> States:
    """From `FindManifest` to the state `to`: the data lake has the manifest of `$dataset`."""
    manifest = f'"{DATASETS}" & $dataset & ".jsonl"'
    return {
        "FindManifest": sdk(
            "s3",
            "listObjectsV2",
            {"Bucket": lake, "Prefix": jsonata(manifest), "MaxKeys": 1},
            Assign={"found": jsonata("$states.result.KeyCount")},
            Next="ManifestFound",
        ),
        "ManifestFound": choice(("$found > 0", to), default="DatasetMissing"),
        "DatasetMissing": fail(
            "DatasetMissing",
            f'"There is no dataset " & $dataset & " ({lake}/" & {manifest} & "); petpark data list shows those '
            'that exist."',
        ),
    }


def _training_inputs(facts: LifecycleFacts) -> dict[str, str]:
    """Inputs of purposes `train` and `trial`, apart from their settings."""
    return {"dataset": "$dataset", "recipe": literal(facts.settings.recipe), "seed": "0", "gates": "$gates"}


def _search(facts: LifecycleFacts) -> States:
    """The stage `Search`: the state machine `study`, with the best settings in `$best`; none without trials.

    The study's id is the hash of its inputs, so trials that succeeded for an earlier pipeline do not run again.
    """
    settings = facts.settings
    if not settings.search:
        return {}
    what = {
        "trials": [{"setting": number, "settings": text.split()} for number, text in enumerate(settings.search, 1)],
        "rungs": list(rung_epochs(len(settings.search), settings.search_epochs)),
        "metric": settings.search_metric,
        "max_seconds": 60 * settings.train_minutes,
    }
    common = ", ".join(f"{literal(key)}: {value}" for key, value in _training_inputs(facts).items())
    arguments = f"""(
        $what := $merge([{literal(what)}, {{"common": {{{common}}}}}]);
        $id := "search-" & $substring($hash($string($what) & "{facts.code}", "SHA-256"), 0, 16);
        {{
            "StateMachineArn": "{facts.study}",
            "Name": $id & "-" & $substring($hash({NAME}, "SHA-256"), 0, 12),
            "Input": $merge([$what, {{
                "study": $id, "known": {{}}, "parallel": {settings.search_parallel},
                "usd": {settings.execution_usd} - $spent, "requested_by": $by, "pipeline": {NAME},
                "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": $states.context.Execution.Id
            }}])
        }}
    )"""
    return {
        "Search": {
            "Type": "Task",
            "Comment": "petpark:pipeline.search",
            "Resource": SYNC,
            "Arguments": jsonata(arguments),
            "TimeoutSeconds": MOST_SECONDS,
            "Assign": {
                "best": jsonata("[$states.result.Output.settings]"),
                "spent": jsonata("$spent + $states.result.Output.usd"),
            },
            "Catch": [stage_failed("Search")],
            "Next": "Train",
        }
    }


def _train(facts: LifecycleFacts) -> States:
    """Train, evaluate and register; a refusal by a gate trains again as the settings say."""
    state = job_task(
        facts,
        "Train",
        "train",
        _training_inputs(facts) | {"settings": "[$append($best, $lookup($rounds, $string($turn)))]"},
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
            "GateRefused", f'"No training passed its gates; the last was " & {VERSION} & ": " & $message & {_REPORT}'
        ),
    }


def _test(facts: LifecycleFacts) -> States:
    """Serve the version on the test endpoint, and send it photos that no training saw."""
    seconds = 60 * facts.settings.small_minutes
    version = {"version": "$version", "digest": "$digest"}
    return {
        "MoveTest": _move(facts, "MoveTest", facts.channel, "gates passed", to="TestMoved"),
        "TestMoved": choice(("$outcome = 'moved'", "ApplicationTest"), default="MoveRefused"),
        "MoveRefused": fail("MoveRefused", f'"The channel\'s rule refused " & {VERSION} & ": " & $message'),
        "ApplicationTest": job_task(
            facts,
            "ApplicationTest",
            "application-test",
            {**version, "stack": literal(facts.stack), "dataset": "$dataset"},
            salt=NAME,
            seconds=seconds,
            to="TestVerdict",
        ),
        "TestVerdict": choice(("$outcome = 'passed'", "FindDecision"), default="TestRefused"),
        "TestRefused": fail(
            "TestRefused", f'"The application test refused " & {VERSION} & ": " & $message & {_REPORT}'
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
            "why": f'"pipeline " & {NAME} & ": {why}"',
        },
        seconds=60 * facts.settings.small_minutes,
        to=to,
    )


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
    return {
        **(_canary(facts, version | stack) if settings.canary_percent else {}),
        "MoveProd": _move(facts, "MoveProd", settings.prod_channel, "certified", to="ProdMoved"),
        "ProdMoved": choice(("$outcome = 'moved'", "ReadBack"), default="MoveRefused"),
        "ReadBack": job_task(
            facts,
            "ReadBack",
            "read-back",
            {**version, **stack},
            salt=NAME,
            seconds=60 * settings.small_minutes,
            to="ReadBackVerdict",
        ),
        "ReadBackVerdict": choice(("$outcome = 'passed'", "Done"), default="ReadBackFailed"),
        "ReadBackFailed": fail(
            "ReadBackFailed",
            f'"{settings.prod_channel} names " & {VERSION} & ", and its endpoint answers with something else: " & '
            '$message & ". See petpark endpoints status."',
        ),
        **done,
    }


def _canary(facts: LifecycleFacts, inputs: Mapping[str, str]) -> States:
    """Part of prod's callers get the version first."""
    settings = facts.settings
    return {
        "Canary": job_task(
            facts,
            "Canary",
            "canary",
            {
                **inputs,
                "channel": literal(settings.prod_channel),
                "mode": '"canary"',
                "share": str(settings.canary_percent / 100),
                "hours": str(settings.canary_hours),
                "why": f'"pipeline " & {NAME}',
            },
            seconds=settings.canary_hours * HOUR + CANARY_SPARE_SECONDS,
            to="CanaryVerdict",
        ),
        "CanaryVerdict": choice(
            ("$outcome = 'promoted' or $outcome = 'skipped'", "MoveProd"), default="CanaryRejected"
        ),
        "CanaryRejected": fail(
            "CanaryRejected", f'"The canary of " & {VERSION} & " in prod ended as " & $outcome & ": " & $message'
        ),
    }
