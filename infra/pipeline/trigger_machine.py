"""The state machine `start`: derives the pipeline's execution name from its inputs, so equal inputs run once. Pure.

EventBridge and Scheduler cannot set execution names.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from infra.pipeline.asl import States, assign, catch, choice, fail, jsonata, literal, machine, sdk, task
from infra.pipeline.job.facts import PAGE
from infra.pipeline.lifecycle.stages import LifecycleFacts
from registry.layout.data_lake import DATASETS

_KNOWN = ("dataset", "force", "newest", "requested_by")
_STARTED_BY = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"
"""A parent execution may pass its id: the console then links the two executions.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-nested-workflows.html"""
_MANIFEST = f"/^{DATASETS.replace('/', '[/]')}[0-9a-f]{{64}}[.]jsonl$/"
_SHA256 = f"$substring($key, {len(DATASETS)}, 64)"


@dataclass(frozen=True, kw_only=True)
class TriggerFacts:
    """Inputs from the deployment."""

    pipeline: str
    """ARN of the alias of the state machine `pipeline`."""
    lifecycle: LifecycleFacts


def revision(facts: LifecycleFacts) -> str:
    """What a pipeline's outcome depends on in addition to the dataset: code, gates and settings."""
    inputs = json.dumps([facts.code, dict(facts.gates), repr(facts.settings), facts.stack], sort_keys=True)
    return hashlib.sha256(inputs.encode()).hexdigest()


def definition(facts: TriggerFacts) -> dict[str, Any]:
    """The state machine, as Amazon States Language."""
    return machine("A trigger of the pipeline", "Source", {**_source(), **_newest(facts), **_start(facts)}, timeout=900)


def _source() -> States:
    """The trigger: a person, an S3 event, a schedule or an alarm."""
    input_ = "$states.input"
    names = f"$filter($keys({input_}), function($name) {{ $not($name in {literal([*_KNOWN, _STARTED_BY])}) }})"
    return {
        "Source": choice(
            (f"$exists({input_}.detail.object.key)", "FromEvent"),
            (f"$count({names}) > 0", "InputUnknown"),
            (f"$type({input_}.dataset) = 'string' and $contains({input_}.dataset, /^[0-9a-f]{{64}}$/)", "FromPerson"),
            (f"{input_}.newest = true", "FromNewest"),
            default="InputInvalid",
        ),
        "InputInvalid": fail(
            "InputInvalid",
            '"The input needs dataset (64 hex digits, see petpark data list) or newest: true."',
        ),
        "InputUnknown": fail(
            "InputInvalid", f'"Unknown fields: " & $join([{names}], ", ") & "; allowed are {", ".join(_KNOWN)}."'
        ),
        "FromEvent": assign({"key": jsonata("$states.input.detail.object.key"), "force": "", "by": ""}, "ManifestKey"),
        "ManifestKey": choice((f"$contains($key, {_MANIFEST})", "NameExecution"), default="Ignored"),
        "Ignored": {
            "Type": "Succeed",
            "Output": {"started": False, "because": jsonata('"not a dataset manifest: " & $key')},
        },
        "FromPerson": assign(
            {
                "key": jsonata(f'"{DATASETS}" & {input_}.dataset & ".jsonl"'),
                "force": jsonata(f'$exists({input_}.force) ? {input_}.force : ""'),
                "by": jsonata(f'$exists({input_}.requested_by) ? {input_}.requested_by : ""'),
            },
            "NameExecution",
        ),
    }


def _newest(facts: TriggerFacts) -> States:
    """The manifest with the latest modification time; S3 lists keys in alphabetical order."""
    manifests = f"$states.result.Contents[$contains(Key, {_MANIFEST})]"
    newer = "function($a, $b) { $a.at < $b.at }"
    candidates = f'$append($latest, [{manifests}.{{"key": Key, "at": $string(LastModified)}}])'
    return {
        "FromNewest": assign({"after": DATASETS, "latest": [], "force": "", "by": ""}, "ListManifests"),
        "ListManifests": sdk(
            "s3",
            "listObjectsV2",
            {
                "Bucket": facts.lifecycle.lake,
                "Prefix": DATASETS,
                "StartAfter": jsonata("$after"),
                "MaxKeys": PAGE,
            },
            Assign={
                "latest": jsonata(f"[$sort([{candidates}], {newer})[0]]"),
                "after": jsonata("$exists($states.result.Contents) ? $states.result.Contents[-1].Key : $after"),
                "more": jsonata("$states.result.IsTruncated = true"),
            },
            Next="MoreManifests",
        ),
        "MoreManifests": choice(
            ("$more", "ListManifests"), ("$count($latest) = 0", "NoDataset"), default="ChooseNewest"
        ),
        "NoDataset": fail("DatasetMissing", '"There is no dataset yet: petpark data ingest FOLDER makes one."'),
        "ChooseNewest": assign({"key": jsonata("$latest[0].key")}, "NameExecution"),
    }


def _start(facts: TriggerFacts) -> States:
    executions = facts.pipeline.replace(":stateMachine:", ":execution:").rpartition(":")[0]
    inputs = f'$key & "{revision(facts.lifecycle)}" & $force'
    # Each trigger passes a different input, so a name in use is an error: with an equal input, StartExecution would
    # succeed and return the running execution.
    # https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    input_ = (
        '$merge([{"dataset": $dataset, "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": $states.context.Execution.Id}, '
        '$by = "" ? {} : {"requested_by": $by}, $force = "" ? {} : {"force": $force}])'
    )
    name = f'$substring($key, {len(DATASETS)}, 12) & "-" & $substring($hash({inputs}, "SHA-256"), 0, 24)'
    return {
        "NameExecution": assign({"dataset": jsonata(_SHA256), "name": jsonata(name)}, "Start"),
        "Start": task(
            "arn:aws:states:::states:startExecution",
            {
                "StateMachineArn": facts.pipeline,
                "Name": jsonata("$name"),
                "Input": jsonata(input_),
            },
            Retry=[],
            Output={"started": True, "execution": jsonata("$states.result.ExecutionArn")},
            Catch=[
                catch(
                    ["StepFunctions.ExecutionAlreadyExistsException", "StepFunctions.ExecutionAlreadyExists"],
                    "AlreadyStarted",
                )
            ],
            Next="Started",
        ),
        "Started": {"Type": "Succeed"},
        "AlreadyStarted": {
            "Type": "Succeed",
            "Comment": "An execution with the same inputs is running or has ended.",
            "Output": {"started": False, "execution": jsonata(f'"{executions}:" & $name')},
        },
    }


def manifest_pattern(bucket: str) -> dict[str, Any]:
    """Events of objects that may be manifests: `start` checks the whole key.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
    """
    return {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": DATASETS}]}},
    }
