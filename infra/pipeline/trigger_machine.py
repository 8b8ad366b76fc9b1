"""The state machine `start`: names the pipeline's execution by its inputs, so that the same does not run twice. Pure.

EventBridge and Scheduler cannot name the executions that they start.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from infra.pipeline.asl import States, assign, catch, choice, fail, jsonata, literal, machine, sdk, task
from infra.pipeline.job_machine import PAGE
from infra.pipeline.stages import LifecycleFacts
from registry.layout import DATASETS

_KNOWN = ("dataset", "force", "newest", "requested_by")
_MANIFEST = f"/^{DATASETS.replace('/', '[/]')}[0-9a-f]{{64}}[.]jsonl$/"
_SHA256 = f"$substring($key, {len(DATASETS)}, 64)"


@dataclass(frozen=True, kw_only=True)
class TriggerFacts:
    """What the deployment knows."""

    pipeline: str
    """ARN of the alias of the state machine `pipeline`."""
    lifecycle: LifecycleFacts


def revision(facts: LifecycleFacts) -> str:
    """What a pipeline's outcome depends on besides the dataset: code, gates and settings."""
    told = json.dumps([facts.code, dict(facts.gates), repr(facts.settings), facts.stack], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def definition(facts: TriggerFacts) -> dict[str, Any]:
    """The state machine, as Amazon States Language."""
    return machine("A trigger of the pipeline", "Source", {**_source(), **_newest(facts), **_start(facts)}, timeout=900)


def _source() -> States:
    """From a person, an S3 event, or a schedule or an alarm."""
    given = "$states.input"
    names = f"$filter($keys({given}), function($name) {{ $not($name in {literal(list(_KNOWN))}) }})"
    return {
        "Source": choice(
            (f"$exists({given}.detail.object.key)", "FromEvent"),
            (f"$count({names}) > 0", "InputUnknown"),
            (f"$type({given}.dataset) = 'string' and $contains({given}.dataset, /^[0-9a-f]{{64}}$/)", "FromHand"),
            (f"{given}.newest = true", "FromLake"),
            default="InputInvalid",
        ),
        "InputInvalid": fail(
            "InputInvalid",
            '"A pipeline needs a dataset, the 64 hex digits that petpark data list shows, or newest: true."',
        ),
        "InputUnknown": fail(
            "InputInvalid", f'"Unknown: " & $join([{names}], ", ") & "; known are {", ".join(_KNOWN)}."'
        ),
        "FromEvent": assign(
            {"key": jsonata("$states.input.detail.object.key"), "force": "", "by": ""}, "ManifestWritten"
        ),
        "ManifestWritten": choice((f"$contains($key, {_MANIFEST})", "Name"), default="Ignored"),
        "Ignored": {
            "Type": "Succeed",
            "Output": {"started": False, "because": jsonata('"no manifest of a dataset: " & $key')},
        },
        "FromHand": assign(
            {
                "key": jsonata(f'"{DATASETS}" & {given}.dataset & ".jsonl"'),
                "force": jsonata(f'$exists({given}.force) ? {given}.force : ""'),
                "by": jsonata(f'$exists({given}.requested_by) ? {given}.requested_by : ""'),
            },
            "Name",
        ),
    }


def _newest(facts: TriggerFacts) -> States:
    """The manifest that was written last; listings are in the order of keys."""
    manifests = f"$states.result.Contents[$contains(Key, {_MANIFEST})]"
    newer = "function($a, $b) { $a.at < $b.at }"
    candidates = f'$append($latest, [{manifests}.{{"key": Key, "at": $string(LastModified)}}])'
    return {
        "FromLake": assign({"after": DATASETS, "latest": [], "force": "", "by": ""}, "ListManifests"),
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
            Next="Listed",
        ),
        "Listed": choice(("$more", "ListManifests"), ("$count($latest) = 0", "NoDataset"), default="Newest"),
        "NoDataset": fail("DatasetMissing", '"There is no dataset yet: petpark data ingest FOLDER makes one."'),
        "Newest": assign({"key": jsonata("$latest[0].key")}, "Name"),
    }


def _start(facts: TriggerFacts) -> States:
    executions = facts.pipeline.replace(":stateMachine:", ":execution:").rpartition(":")[0]
    inputs = f'$key & "{revision(facts.lifecycle)}" & $force'
    name = f'$substring($key, {len(DATASETS)}, 12) & "-" & $substring($hash({inputs}, "SHA-256"), 0, 24)'
    return {
        "Name": assign({"dataset": jsonata(_SHA256), "name": jsonata(name)}, "Start"),
        "Start": task(
            "arn:aws:states:::states:startExecution",
            {
                "StateMachineArn": facts.pipeline,
                "Name": jsonata("$name"),
                "Input": jsonata('$merge([{"dataset": $dataset}, $by = "" ? {} : {"requested_by": $by}])'),
            },
            Retry=[],
            Output={"started": True, "execution": jsonata("$states.result.ExecutionArn")},
            Catch=[
                catch(
                    ["StepFunctions.ExecutionAlreadyExistsException", "StepFunctions.ExecutionAlreadyExists"],
                    "Coalesced",
                )
            ],
            Next="Started",
        ),
        "Started": {"Type": "Succeed"},
        "Coalesced": {
            "Type": "Succeed",
            "Comment": "The same inputs run already, or have run.",
            "Output": {"started": False, "execution": jsonata(f'"{executions}:" & $name')},
        },
    }


def manifest_pattern(bucket: str) -> dict[str, Any]:
    """Events of objects that may be manifests: `start` looks at the whole key.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
    """
    return {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": DATASETS}]}},
    }
