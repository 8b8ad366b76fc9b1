"""`petpark search`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from petpark.app import Invocation, example, group, invocation
from petpark.commands.training.train import submit
from petpark.data import datasets
from petpark.errors import JobFailed, JobInterrupted, StudyCancelled, unwatched
from petpark.jobs import executions, submission
from petpark.jobs.execution_events import CostIncreased
from petpark.jobs.executions import Execution
from petpark.jobs.submission import EpochFinished, ProgressReported, Skipped
from petpark.output.formats import bad, good, plural, short
from petpark.output.table import Cell
from petpark.search import cancellation, page, request, study_executions, study_summary
from petpark.search.records import Listed, Records, listed, resolve, workspace
from petpark.search.study_executions import RecordWritten, StudyEnded, TrialChanged
from petpark.search.table import Row, State, Table
from petpark.targets.target import Target
from registry.identity import person

if TYPE_CHECKING:
    from training.job import JobSpec
    from training.search.study import Study

app = group("Hyperparameter search: each trial is a job, within a budget of hours and money.")

_Random = Annotated[
    list[str] | None,
    typer.Option("--random", help="Range to sample from: name=low..high, name=log:low..high or name=a,b. Repeatable."),
]
_Trials = Annotated[int | None, typer.Option("--trials", help="Number of trials. Default for a grid: all.", min=1)]
_Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Hyperparameter of all trials, as key=value. Repeatable.")
]
_Recipe = Annotated[
    str,
    typer.Option(
        "--recipe",
        metavar="two-cores|few-photos|gpu|transfer",
        help="Recipe to start from. Default: as for petpark train.",
    ),
]
_Halving = Annotated[
    bool,
    typer.Option(
        "--halving",
        help="Successive halving: start with few epochs; the best third continues with three times as many.",
    ),
]
_Metric = Annotated[
    str,
    typer.Option(
        "--metric", help="Choose by the lower bound of this metric: balanced_accuracy, accuracy, recall_<class>."
    ),
]
_Weights = Annotated[
    str, typer.Option("--weights", metavar="VERSION|FILE|imagenet", help="Initial weights of all trials.")
]
_Gates = Annotated[
    list[str] | None, typer.Option("--gate", help="For the published version, as key=value. Repeatable.")
]
_Checks = Annotated[
    list[str] | None, typer.Option("--check", help="For the published version, as key=value. Repeatable.")
]
_Publish = Annotated[
    bool,
    typer.Option(
        "--publish-best", help="Finally train the best settings again and publish the version; not part of the budget."
    ),
]
_Watch = Annotated[bool, typer.Option("--watch", help="Wait until the study has ended; Ctrl-C leaves it alone.")]
_Id = Annotated[str, typer.Argument(metavar="STUDY", help="Study id, or a unique prefix.")]


@app.command(
    "run",
    epilog=example(
        "petpark search run --dataset 3fa9 --grid image_size=192,224,256 --grid views=2,8",
        "petpark search run --dataset 3fa9 --recipe gpu --random learning_rate=log:1e-4..1e-2 --random mixup=0..0.4 "
        "--trials 20 --halving --max-usd 20 --watch",
    ),
)
def run_search(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Option("--dataset", help="Dataset hash, or a unique prefix.")],
    grid: Annotated[list[str] | None, typer.Option("--grid", help="Values to combine: name=a,b. Repeatable.")] = None,
    random: _Random = None,
    trials: _Trials = None,
    settings: _Settings = None,
    recipe: _Recipe = "",
    halving: _Halving = False,
    metric: _Metric = "balanced_accuracy",
    seed: Annotated[int, typer.Option("--seed", help="Random seed of the search and of every training.", min=0)] = 0,
    parallel: Annotated[int, typer.Option("--parallel", help="Maximum instances at once.", min=1, max=40)] = 1,
    max_hours: Annotated[float | None, typer.Option("--max-hours", help="Maximum instance hours.")] = None,
    max_usd: Annotated[float | None, typer.Option("--max-usd", help="Maximum cost (USD, list prices).")] = None,
    max_minutes: Annotated[int, typer.Option("--max-minutes", help="Maximum minutes per trial.", min=1)] = 60,
    weights: _Weights = "",
    gates: _Gates = None,
    checks: _Checks = None,
    publish_best: _Publish = False,
    watch: _Watch = False,
) -> None:
    """Search for the best settings, each as a job on its own instance. Trials are not published."""
    from training.search.budget import Budget

    run = invocation(ctx)
    target = run.target()
    executions.machines(target)
    budget = Budget(max_hours=max_hours, max_usd=max_usd)

    def plan(sha256: str, initial: str | None) -> JobSpec:
        return submission.plan(
            target,
            sha256,
            settings or [],
            seed=seed,
            max_minutes=max_minutes,
            initial_weights=initial,
            gates=gates or [],
            checks=checks or [],
            recipe=recipe,
        )

    def hand_in(spec: JobSpec, file: Path | None) -> str:
        study = request.design(
            spec,
            grid=grid or [],
            random=random or [],
            trials=trials,
            metric=metric,
            labels=datasets.labels(target, spec.dataset),
            halving=halving,
            parallel=parallel,
            budget=budget,
        )
        return request.create(target, study, weights=file)

    _start(run, target, submit(run, target, dataset, weights, plan, hand_in), publish=publish_best, watch=watch)


@app.command("resume", epilog=example("petpark search resume 20260802-101500-3fa9"))
def resume(ctx: typer.Context, study: _Id, publish_best: _Publish = False, watch: _Watch = False) -> None:
    """Resume a study after a lack of capacity or many interruptions, or watch one that runs, from any machine."""
    run = invocation(ctx)
    target = run.target()
    name = resolve(workspace(target), study)
    records = Records(target, name)
    study_plan = records.study()
    records.table()  # it may have ended since somebody looked
    table = records.ended()
    if table is not None and (table.cancelled_by is not None or not publish_best):
        _show_end(run, table, study_plan)
        return
    _start(run, target, name, publish=publish_best, watch=watch)


@app.command("show", epilog=example("petpark search show 20260802-101500-3fa9 --out study.html"))
def show(
    ctx: typer.Context,
    study: _Id,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Also write an HTML page to this path.")
    ] = None,
) -> None:
    """Show a study's trials, running or ended: settings, metric with interval, hours, cost."""
    run = invocation(ctx)
    target = run.target()
    records = Records(target, resolve(workspace(target), study))
    study_plan, table = records.study(), records.table()
    if out is not None:
        page.write_page(table, study_plan, out)
    _print(run, table, study_plan)


@app.command("cancel", epilog=example('petpark search cancel 20260802-101500-3fa9 --why "wrong dataset"'))
def cancel(
    ctx: typer.Context,
    study: _Id,
    why: Annotated[str, typer.Option("--why", help="Reason, recorded with your name.")],
) -> None:
    """Cancel a study for good, with its running trials and their instances.

    Ended trials are kept; it cannot be resumed.
    """
    run = invocation(ctx)
    target = run.target()
    ended = cancellation.cancel_study(target, resolve(workspace(target), study), why=why)
    fields: dict[str, Cell] = {
        "study": ended.study,
        "cancelled by": person(ended.by),
        "why": ended.why,
        "trials cancelled": ", ".join(str(number) for number in ended.trials) or "none was running",
        "instances terminated": ", ".join(ended.instances) or "none was running",
        "executions stopped": ", ".join(ended.executions) or "none was running",
    }
    run.output.record(fields, facts=asdict(ended))


@app.command("list", epilog=example("petpark search list"))
def list_studies(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", help="Maximum number to list, newest first.", min=1)] = 20,
) -> None:
    """List the newest studies."""
    run = invocation(ctx)
    found = listed(run.target(), limit)
    run.output.table(
        ("study", "asked by", "dataset", "searched", "trials", "best", "outcome"),
        [_summary(one) for one in found],
        facts={
            "studies": [
                {
                    "study": one.name,
                    "asked": one.study and asdict(one.study),
                    "table": one.table and asdict(one.table),
                    "outcome": one.outcome or None,
                    "problem": one.problem or None,
                }
                for one in found
            ]
        },
        empty="No study yet. Start one: petpark search run --dataset SHA --grid learning_rate=0.001,0.003",
    )


def _start(run: Invocation, target: Target, study: str, *, publish: bool, watch: bool) -> None:
    execution = study_executions.start(target, study, publish=publish)
    run.output.stage(f"Study {study}, execution {execution.name} of the state machine")
    if not watch:
        facts = {"study": study, "execution": execution.arn}
        run.output.record(dict[str, Cell](facts), facts=facts)
        run.output.note(f"Follow it: petpark search resume {study} --watch. Show it: petpark search show {study}")
        return
    end = _watch(run, target, execution)
    result = end.published
    published = {} if result is None else {"job": result.job, "version": result.version, "outcome": result.outcome}
    _show_end(run, end.table, Records(target, study).study(), published=published)
    again = f"petpark search resume {study}"
    if end.status in ("ABORTED", "TIMED_OUT"):
        raise JobInterrupted(f"Study {study} did not end: {end.status} {end.cause}".rstrip(), next_step=again)
    if end.status != "SUCCEEDED":
        raise JobFailed(
            f"Study {study} ended with {end.error}: {end.cause or 'no cause'}", next_step=again, error=end.error
        )


def _watch(run: Invocation, target: Target, execution: Execution) -> StudyEnded:
    """Show what happens to a study until it has ended. Ctrl-C leaves it alone."""
    study = execution.job
    detached = unwatched(
        f"Study {study} continues.",
        f"Watch it again: petpark search resume {study} --watch. Show it: petpark search show {study}. "
        f"Stop it: petpark search cancel {study} --why ...",
    )
    spent = ""
    with detached, run.output.progress(f"Study {study}") as report:
        for event in study_executions.follow(target, execution):
            match event:
                case StudyEnded():
                    return event
                case CostIncreased():
                    spent = f"; {event.usd:.2f} USD so far"
                case TrialChanged():
                    run.output.stage(f"{event.text}{spent}")
                    report(event.done, event.of, f"Study {study}")
                case RecordWritten():
                    run.output.note(f"{event.job}: {_event_text(event)}{spent}")
    raise AssertionError("a followed study ends with its end")


def _event_text(event: RecordWritten) -> str:
    match event.record:
        case EpochFinished() | ProgressReported():
            return submission.sentence(event.record.record)
        case Skipped():
            return f"skipped {event.record.key} in the workspace: {event.record.problem}"


def _show_end(run: Invocation, table: Table, study_plan: Study, *, published: Mapping[str, Any] | None = None) -> None:
    """Print the table; raise what a cancelled study, or one without a success, is for those who wait for it."""
    _print(run, table, study_plan, published=published)
    if table.cancelled_by is not None:
        raise StudyCancelled(
            f"Study {table.study} was {table.outcome}.",
            next_step="Start another: petpark search run",
            study=table.study,
            by=table.cancelled_by,
        )
    request.best_row(table)  # a study in which nothing succeeded ends with 1


def _print(run: Invocation, table: Table, study_plan: Study, *, published: Mapping[str, Any] | None = None) -> None:
    names = study_summary.searched(study_plan)
    run.output.table(
        ("trial", *names, "epochs", table.metric, "95 % interval", "hours", "USD", "state", ""),
        [_row(table, row, names) for row in table.rows],
        facts={**asdict(table), "published": published or None, "next": study_summary.command(table)},
        empty="No trials.",
    )
    for sentence in study_summary.sentences(table):
        run.output.message(sentence)
    if published:
        run.output.message(f"Published: version {published.get('version')} by job {published.get('job')}.")


def _row(table: Table, row: Row, names: tuple[str, ...]) -> tuple[Cell, ...]:
    state: Cell = row.state
    if row.state is State.FAILED:
        state = bad(f"failed: {row.error}")
    elif row.state is State.INTERRUPTED:
        state = bad(f"interrupted: {row.error}")
    figures = ("–", "") if row.value is None else (f"{row.value:.3f}", f"{row.low:.3f} to {row.high:.3f}")
    cost = (study_summary.hours(row.seconds), study_summary.usd(row.usd))
    mark: Cell = good("best") if row.trial == table.best else ""
    values = (row.settings.get(name, "") for name in names)
    return (str(row.trial), *values, str(row.epochs), *figures, *cost, state, mark)


def _summary(one: Listed) -> tuple[Cell, ...]:
    name, study, table = one.name, one.study, one.table
    if study is None:
        return (name, "–", "–", "–", "–", "", bad(f"unreadable: {one.problem}"))
    searched, asked_by = ", ".join(study_summary.searched(study)), person(study.spec.requested_by)
    best = "" if table is None or table.best is None else f"trial {table.best}: {table.row(table.best).value:.3f}"
    outcome = one.outcome.partition(":")[0] or "not ended"
    return (name, asked_by, short(study.spec.dataset), searched, plural(study.trials, "setting"), best, outcome)
