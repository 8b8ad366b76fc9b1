"""The state machine `study`: a search's trials side by side within a budget, rungs of halving, the best. Pure.

`docs/design/search.md` says what it is started with, and what it gives.
"""

from dataclasses import dataclass
from typing import Any, Final

from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline.asl import State, States, assign, catch, choice, fail, jsonata, machine, sdk
from infra.pipeline.job.facts import END_SECONDS
from infra.pipeline.job_machine import MOST_SECONDS
from infra.pipeline.lifecycle.stages import child_failure, sync_task
from registry.halving import ETA, MOST_TRIALS
from registry.layout.workspace import SPENDING

_NAME: Final = "$states.context.Execution.Name"
_MONTH: Final = "$substring($states.context.State.EnteredTime, 0, 7)"
_ALLOWED: Final = "$floor(($usd - $spent) / $price)"
"""Trials that the rest of the budget allows, if each took all its time."""

_EPOCHS: Final = '($count($rungs) = 0 ? [] : ["epochs=" & $string($rungs[{} - 1])])'

_BETTER: Final = """function($a, $b) {
    $a.score < $b.score or ($a.score = $b.score and
        ($a.value < $b.value or ($a.value = $b.value and $a.trial > $b.trial)))
}"""
"""Whether `$b` comes first: by the lower bound, so that a lucky few photos do not win; see `training.search.choice`."""


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """What the deployment knows."""

    job: str
    """ARN of the alias of the state machine `job`."""
    workspace: str
    usd_per_hour: float
    """Of the most expensive type that trains."""
    settings: PipelineSettings


def definition(facts: StudyFacts) -> dict[str, Any]:
    """The state machine, as Amazon States Language."""
    states = {**_begin(facts), **_rung(facts), **_end(facts)}
    return machine("A study: trials within a budget, and the best of them", "Check", states, timeout=MOST_SECONDS)


def _begin(facts: StudyFacts) -> States:
    """Check the input. Money is counted with a millionth above what the job will reserve: fractions are rounded."""
    given = "$states.input"
    seconds = f"({facts.settings.boot_seconds} + {given}.max_seconds + {END_SECONDS})"
    complete = " and ".join(
        [
            f"$type({given}.study) = 'string' and $contains({given}.study, /^[a-z0-9-]{{1,50}}$/)",
            f"$count([{given}.trials]) in [1..{MOST_TRIALS}]",
            *(f"$type({given}.{name}) = 'object'" for name in ("common", "known")),
            *(f"$type({given}.{name}) = 'number' and {given}.{name} > 0" for name in ("parallel", "max_seconds")),
            f"$type({given}.usd) = 'number'",
            f"$type({given}.metric) = 'string'",
        ]
    )
    return {
        "Check": choice((complete, "Begin"), default="InputInvalid"),
        "InputInvalid": fail(
            "InputInvalid",
            f'"The input needs study, 1 to {MOST_TRIALS} trials, common, known, metric, parallel, max_seconds and usd; '
            'docs/design/search.md has an example."',
        ),
        "Begin": assign(
            {
                "study": jsonata(f"{given}.study"),
                "by": jsonata(
                    f"$exists({given}.requested_by) ? {given}.requested_by : $states.context.Execution.RoleArn"
                ),
                "pipeline": jsonata(f"$exists({given}.pipeline) ? {given}.pipeline : null"),
                "common": jsonata(f"{given}.common"),
                "known": jsonata(f"{given}.known"),
                "all": jsonata(f"[{given}.trials]"),
                "turn": jsonata(f"[{given}.trials]"),
                "rungs": jsonata(f"[{given}.rungs]"),
                "metric": jsonata(f"{given}.metric"),
                "parallel": jsonata(f"{given}.parallel"),
                "max_seconds": jsonata(f"{given}.max_seconds"),
                "usd": jsonata(f"$min([{given}.usd, {facts.settings.execution_usd}])"),
                "price": jsonata(f"($ceil({facts.usd_per_hour} * 1000000 * {seconds} / 3600) + 1) / 1000000"),
                "publish": jsonata(f"{given}.publish = true"),
                "rung": 1,
                "spent": 0,
                "found": [],
                "published": {},
                "failure": {"error": "", "cause": ""},
            },
            "Rung",
        ),
    }


def _rung(facts: StudyFacts) -> States:
    """One rung: those of its trials that have not ended before, as many at a time as the budget allows."""
    number = "($rung - 1) * $count($all) + $one.setting"
    trial = f"""{{
        "trial": {number}, "setting": $one.setting, "rung": $rung,
        "job": $study & "-" & $pad($string({number}), -6, "0"),
        "settings": [$append([$one.settings], {_EPOCHS.format("$rung")})]
    }}"""
    is_known = "$exists($lookup($known, $string($one.trial)))"
    ended = """$merge([
        {"trial": $one.trial, "setting": $one.setting, "rung": $one.rung, "error": "", "usd": 0},
        $lookup($known, $string($one.trial))
    ])"""
    return {
        "Rung": assign({"trials": jsonata(f"[$map($turn, function($one) {{ {trial} }})]")}, "Skip"),
        "Skip": assign(
            {
                "found": jsonata(
                    f"[$append($found, [$map([$filter($trials, function($one) {{ {is_known} }})], "
                    f"function($one) {{ {ended} }})])]"
                ),
                "left": jsonata(f"[$filter($trials, function($one) {{ $not({is_known}) }})]"),
            },
            "Afford",
            "Trials that ended in an earlier execution do not run again",
        ),
        "Afford": choice(("$count($left) = 0", "Rank"), (f"{_ALLOWED} < 1", "Rank"), default="Take"),
        "Take": assign(
            {
                "chunk": jsonata(f"[$filter($left, function($one, $place) {{ $place < {_ALLOWED} }})]"),
                "left": jsonata(f"[$filter($left, function($one, $place) {{ $place >= {_ALLOWED} }})]"),
                "share": jsonata(f"($usd - $spent) / $min([$count($left), {_ALLOWED}])"),
                "since": jsonata(_MONTH),
            },
            "Trials",
        ),
        "Trials": {
            "Type": "Map",
            "Items": jsonata("$chunk"),
            # At most 40: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
            "MaxConcurrency": jsonata("$min([$parallel, 40])"),
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "Trial",
                "States": _trial(facts),
            },
            "Assign": {
                "found": jsonata("[$append($found, $states.result)]"),
                "spent": jsonata("$spent + $sum([$states.result.usd])"),
            },
            "Next": "Afford",
        },
    }


def _trial(facts: StudyFacts) -> States:
    """One trial: its job. What a failed one cost is in the books; where they do not say, all that it was allowed."""
    figure = "$lookup($states.result.Output.metrics, $metric{})"
    low, value = (
        f"($type({named}) = 'number' ? {named} : -1)" for named in (figure.format(' & "_low"'), figure.format(""))
    )
    own = '"trial": $states.input.trial, "setting": $states.input.setting, "rung": $states.input.rung'
    lost = f'{own}, "score": -1, "value": -1, "error": $states.input.error'
    task = _job(
        facts,
        job="$states.input.job",
        purpose="trial",
        inputs='{"study": $study, "trial": $states.input.trial, "settings": [$states.input.settings]}',
        usd="$share",
    )
    return {
        "Trial": task
        | {
            "Output": jsonata(
                f'{{{own}, "score": {low}, "value": {value}, "error": "", "usd": $states.result.Output.usd}}'
            ),
            "Catch": [
                catch(["States.ALL"], "Books")
                | {"Output": jsonata(f'$merge([$states.input, {{"error": {child_failure()}.error}}])')}
            ],
            "End": True,
        },
        "Books": sdk(
            "s3",
            "listObjectsV2",
            {
                "Bucket": facts.workspace,
                "Prefix": jsonata(f'"{SPENDING}" & $since & "/" & {_execution("$states.input.job")} & "."'),
            },
            Comment="A trial that fails is out; the search goes on. What did it cost?",
            Output=jsonata(
                f'{{{lost}, "usd": $since = {_MONTH} ? '
                "$sum($append([0], [$states.result.Contents.$number($split(Key, '/')[-1])])) / 1000000 : $share}"
            ),
            Catch=[catch(["States.ALL"], "NoBooks") | {"Output": jsonata("$states.input")}],
            End=True,
        ),
        "NoBooks": {"Type": "Pass", "Output": jsonata(f'{{{lost}, "usd": $share}}'), "End": True},
    }


def _end(facts: StudyFacts) -> States:
    """The next rung, or the best of all trials."""
    kept = f"$ceil($count($trials) / {ETA})"
    setting = "$filter($all, function($each) { $each.setting = $one.setting })"
    return {
        "Rank": assign(
            {
                "ranked": jsonata(f"[$sort([$found[rung = $rung and score >= 0]], {_BETTER})]"),
                "good": jsonata(f"[$sort([$found[score >= 0]], {_BETTER})]"),
            },
            "Ranked",
        ),
        "Ranked": choice(
            ("$count($good) = 0", "SearchFailed"),
            ("$rung < $count($rungs) and $count($left) = 0 and $count($ranked) > 0", "NextRung"),
            default="Best",
        ),
        "NextRung": assign(
            {
                "rung": jsonata("$rung + 1"),
                "turn": jsonata(
                    f"[$map([$filter($ranked, function($one, $place) {{ $place < {kept} }})], "
                    f"function($one) {{ {setting} }})]"
                ),
            },
            "Rung",
            "The best third again, with three times the epochs",
        ),
        "SearchFailed": fail(
            "SearchFailed",
            '"No trial of study " & $study & " succeeded" & ($count($left) = 0 ? "" : ", and the rest of its budget, " '
            '& $string($round($usd - $spent, 2)) & " USD, allows no other: one may cost " & '
            '$string($round($price, 2)) & " USD") & '
            '($count($found) = 0 ? "" : ": " & $join($distinct([$found.error]), ", ")) & ". petpark jobs list shows '
            'them."',
        ),
        "Best": assign(
            {
                "best": jsonata("$good[0]"),
                "settings": jsonata("[$filter($all, function($each) { $each.setting = $good[0].setting }).settings]"),
            },
            "Publish",
        ),
        **_publish(facts),
    }


def _publish(facts: StudyFacts) -> States:
    """Train the best again and publish it, if that was requested; the study's result."""
    train = _job(
        facts,
        job='$study & "-best"',
        purpose="train",
        inputs='{"study": $study, "trial": $best.trial, "settings": [$append($settings, '
        + _EPOCHS.format("$best.rung")
        + ")]}",
        usd=str(facts.settings.job_usd),
    )
    return {
        "Publish": choice(("$publish", "TrainBest"), default="Done"),
        "TrainBest": train
        | {
            "Assign": {"published": jsonata("$states.result.Output")},
            "Catch": [catch(["States.ALL"], "PublishFailed", failure=child_failure())],
            "Next": "Done",
        },
        "PublishFailed": fail("$failure.error", '"Job " & $study & "-best: " & $failure.cause', computed=True),
        "Done": {
            "Type": "Pass",
            "Output": jsonata(
                '{"study": $study, "outcome": $count($left) = 0 ? "complete" : "budget", "best": $best.trial, '
                '"settings": $settings, "left": [$left.trial], "usd": $spent, "published": $published}'
            ),
            "End": True,
        },
    }


def _execution(job: str) -> str:
    """Name of a job's execution: this study's own, for a resumed study may run the same job again."""
    return f'{job} & "-" & $substring($hash({_NAME}, "SHA-256"), 0, 12)'


def _job(facts: StudyFacts, *, job: str, purpose: str, inputs: str, usd: str) -> State:
    """Run a job to its end. `job`, `inputs` and `usd` are expressions."""
    arguments = f"""{{
        "StateMachineArn": "{facts.job}",
        "Name": {_execution(job)},
        "Input": {{
            "job": {job}, "purpose": "{purpose}", "machine": "training", "max_seconds": $max_seconds,
            "usd": $min([{facts.settings.job_usd}, {usd}]), "requested_by": $by, "pipeline": $pipeline,
            "inputs": $merge([$common, {inputs}]), "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID":
                $states.context.Execution.Id
        }}
    }}"""
    return sync_task(facts.settings, arguments, seconds="$max_seconds")
