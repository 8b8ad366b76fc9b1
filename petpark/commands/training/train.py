"""`petpark train`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from petpark.app import Invocation, example, invocation
from petpark.commands.formatting import measured
from petpark.commands.training import verdicts
from petpark.data import datasets
from petpark.errors import GATES_FAILED, unwatched
from petpark.jobs import execution_events, executions, job_details, submission, weights
from petpark.jobs.execution_events import CostIncreased, StateEntered
from petpark.jobs.executions import Execution
from petpark.jobs.submission import EpochFinished, Finished, ProgressReported, Skipped
from petpark.output.table import Cell
from petpark.targets.target import Target

if TYPE_CHECKING:
    from training.job import JobSpec

_Recipe = Annotated[
    str,
    typer.Option(
        "--recipe",
        metavar="two-cores|few-photos|gpu|transfer",
        help="Recipe to start from. Default: transfer; two-cores for a rehearsal's generated photos.",
    ),
]
_Settings = Annotated[list[str] | None, typer.Option("--set", help="Hyperparameter, as key=value. Repeatable.")]
_Gates = Annotated[
    list[str] | None,
    typer.Option("--gate", help="Stricter gate than the stack's, as key=value: accuracy, … Repeatable."),
]
_Checks = Annotated[
    list[str] | None,
    typer.Option(
        "--check",
        help="How the model is tested, as key=value: positive, false_negative_cost, photos, int8, … Repeatable.",
    ),
]
_Weights = Annotated[
    str,
    typer.Option(
        "--weights",
        metavar="VERSION|FILE|imagenet",
        help="Initial weights: a version's, a file's, or those pretrained on ImageNet.",
    ),
]
_Instances = Annotated[
    int, typer.Option("--instances", help="Number of instances to train on together, one process per GPU.", min=1)
]
_OnDemand = Annotated[
    bool, typer.Option("--on-demand", help="Do not use spot instances, whatever the stack's settings.")
]
_Resume = Annotated[
    str, typer.Option("--resume", metavar="JOB", help="Resume an interrupted job from its last checkpoint.")
]


def train(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Option("--dataset", help="Dataset hash, or a unique prefix.")] = "",
    recipe: _Recipe = "",
    settings: _Settings = None,
    gates: _Gates = None,
    checks: _Checks = None,
    max_minutes: Annotated[int, typer.Option("--max-minutes", help="Maximum minutes of the job.", min=1)] = 60,
    seed: Annotated[int, typer.Option("--seed", help="Random seed.", min=0)] = 0,
    initial: _Weights = "",
    instances: _Instances = 1,
    on_demand: _OnDemand = False,
    watch: Annotated[bool, typer.Option("--watch", help="Wait until the job has ended.")] = False,
    resume: _Resume = "",
) -> None:
    """Train on one or more instances of the stack: a new job (--dataset), or an interrupted one (--resume).

    With --watch it exits with 3 if the model failed gates: it is published, with suggestions.
    """
    if bool(dataset) == bool(resume):
        raise typer.BadParameter("use either --dataset SHA for a new job, or --resume JOB for an interrupted one")
    run = invocation(ctx)
    target = run.target()
    executions.machines(target)

    def plan(sha256: str, initial_weights: str | None) -> JobSpec:
        return submission.plan(
            target,
            sha256,
            settings or [],
            seed=seed,
            max_minutes=max_minutes,
            initial_weights=initial_weights,
            gates=gates or [],
            checks=checks or [],
            recipe=recipe,
            instances=instances,
        )

    if resume:
        job = submission.resolve(target, resume)
    else:
        job = submit(
            run, target, dataset, initial, plan, lambda spec, file: submission.submit(target, spec, weights=file)
        )
    execution = executions.start_training(target, job, on_demand=on_demand)
    facts = {"job": job, "execution": execution.arn}
    run.output.stage(f"Job {job}, execution {execution.name} of the state machine")
    if watch:
        _show_end(run, target, facts | watch_execution(run, target, execution))
    else:
        run.output.record(_shown(facts), facts=facts)
        run.output.note(f"Follow it: petpark train --resume {job} --watch")


def _show_end(run: Invocation, target: Target, facts: dict[str, Any]) -> None:
    """Show a job's result. Exits with 3 if its model failed gates."""
    job = facts["job"]
    found = job_details.inspect(target, job)
    shown = _shown(facts) | {"gates": verdicts.outcome(found.judgement)}
    sections = {f"Job {job}": shown, "Metrics": measured(facts["metrics"]), **verdicts.failures(found)}
    run.output.sections(sections, facts={**facts, **verdicts.facts(found)})
    if found.summary.gates_failed:
        raise typer.Exit(GATES_FAILED)


def _shown(facts: Mapping[str, Any]) -> dict[str, Cell]:
    return {
        name: str(value) for name, value in facts.items() if name not in {"epochs", "metrics"} and value is not None
    }


def submit(
    run: Invocation,
    target: Target,
    dataset: str,
    named: str,
    plan: Callable[[str, str | None], JobSpec],
    hand_in: Callable[[JobSpec, Path | None], str],
) -> str:
    """Plan by dataset and initial weights, and hand the plan in with the weights' file, if they are not a version's.

    What could not succeed is refused before weights are fetched or anything is stored: see `jobs.admit` and
    `petpark.jobs.weights`.
    """
    sha256 = datasets.resolve(target, dataset)
    bare = plan(sha256, None)
    named = named or (weights.IMAGENET if bare.hyper_parameters.frozen else "")
    submission.admit(target, bare, weights_follow=bool(named))
    if not named:
        return hand_in(bare, None)
    with weights.initial(target, named, bare.hyper_parameters.architecture, warn=run.output.stage) as found:
        return hand_in(plan(sha256, found.sha256), found.file)


def watch_execution(run: Invocation, target: Target, execution: Execution) -> dict[str, Any]:
    """Show what happens to a job that the state machine runs; the facts of its end. Ctrl-C leaves it alone."""
    job, usd = execution.job, 0.0
    epochs: list[dict[str, Any]] = []
    ended: dict[str, Any] = {}
    detached = unwatched(
        f"Job {job} continues.",
        f"Watch it again: petpark train --resume {job} --watch. Stop it: petpark jobs cancel {job} --why ...",
    )
    with detached, run.output.progress(f"Job {job}") as report:
        for event in execution_events.follow(target, execution):
            spent = f"; {usd:.2f} USD so far" if usd else ""
            match event:
                case StateEntered():
                    run.output.stage(f"{event.text}{f': {event.cause}' if event.cause else ''}{spent}")
                case CostIncreased():
                    usd = event.usd
                case EpochFinished():
                    epochs.append(asdict(event.record))
                    said = submission.sentence(event.record) + spent
                    report(event.record.epoch, event.record.of, said=said)
                case ProgressReported():
                    said = submission.sentence(event.record) + spent
                    report(event.record.done, event.record.of, event.record.doing, said)
                case Skipped():
                    run.output.stage(f"skipped {event.key} in the workspace: {event.problem}")
                case Finished():
                    ended = asdict(event.result)
    return {**ended, "epochs": epochs, "usd": usd}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "train",
        epilog=example(
            "petpark train --dataset 3fa9 --watch",
            "petpark train --dataset 3fa9 --set architecture=efficientnet_lite2",
            "petpark train --dataset 3fa9 --recipe few-photos --set epochs=40 --set image_size=96",
            "petpark train --dataset 3fa9 --gate accuracy=0.97 --check false_negative_cost=5",
            "petpark train --dataset 3fa9 --recipe gpu --instances 4",
            "petpark train --resume 20260802-101500-3fa9 --on-demand",
        ),
    )(train)
