"""`petpark pipeline`."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from petpark.app import Invocation, example, group, invocation
from petpark.errors import NOT_SO, unwatched
from petpark.failures.denials import denial
from petpark.output.console import Columns
from petpark.output.formats import bad, good, moment, short
from petpark.output.table import Cell
from petpark.pipeline import deployed_machines, runs, stage_times
from petpark.pipeline.deployed_machines import Edited
from petpark.pipeline.runs import PipelineRun, Started, Step
from petpark.pipeline.stage_times import StageTime
from petpark.targets.target import Target

_WORD = re.compile(r"[A-Za-z0-9_-]{0,40}")
"""It is a part of the execution's input, of at most 256 KiB, and is read by people."""

_OTHERS = "petpark data ingest, or change petpark:pipeline and pulumi up: equal inputs end the same way"
_SAME_AGAIN = {
    "DatasetRefused": f"petpark data report SHA says which photos; then {_OTHERS}",
    "GateRefused": f"petpark models show N suggests what to do; then {_OTHERS}",
    "CertificationRefused": f"train on other photos or with other settings: {_OTHERS}",
}
"""What to do after an end that a retry would come to again, as its jobs are stored."""

app = group("The pipeline: from a dataset to prod, on AWS Step Functions.")

Name = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="Name, or a unique prefix. Default: the newest.", show_default=False)
]
_Optional = Annotated[str, typer.Argument(metavar="PIPELINE", help="Name, or a unique prefix.", show_default=False)]
_Watch = Annotated[bool, typer.Option("--watch", help="Show its states until it has ended; Ctrl-C leaves it running.")]


@app.command(
    "start", epilog=example("petpark pipeline start --dataset 3fa9", "petpark pipeline start --dataset 3fa9 --watch")
)
def start(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Option("--dataset", help="Dataset hash, or a unique prefix.")],
    force: Annotated[
        str, typer.Option("--force", metavar="WORD", help="Run again with equal inputs; each new word is a new run.")
    ] = "",
    watch: _Watch = False,
) -> None:
    """Start the pipeline of a dataset. Equal inputs run once: the run that exists is shown."""
    if not _WORD.fullmatch(force):
        raise typer.BadParameter("use at most 40 letters, digits, - and _", param_hint="--force")
    run = invocation(ctx)
    target = run.target()
    _begin(run, target, runs.start(target, dataset, force=force), watch=watch)


@app.command("retry", epilog=example("petpark pipeline retry 3fa9"))
def retry(ctx: typer.Context, name: Name = "", watch: _Watch = False) -> None:
    """Run again a pipeline that has ended. Jobs that succeeded are not repeated."""
    run = invocation(ctx)
    target = run.target()
    _begin(run, target, runs.retry(target, runs.resolve(target, name)), watch=watch)


@app.command("status", epilog=example("petpark pipeline status", "petpark pipeline status 3fa9 --json"))
def status(
    ctx: typer.Context,
    name: _Optional = "",
    limit: Annotated[int, typer.Option("--limit", help="Maximum number to list, newest first.", min=1)] = 10,
) -> None:
    """List the newest pipelines, or show one: its state, and what it waits for."""
    run = invocation(ctx)
    target = run.target()
    edited = deployed_machines.edited(target)
    if name:
        _show(run, target, runs.show(target, runs.resolve(target, name)))
        _print_edits(run, edited, target.outputs.stack)
        return
    found = runs.listed(target, limit=limit)
    run.output.table(
        ("pipeline", "dataset", "began", "state", "status"),
        [(one.name, short(one.dataset), _moment(one), one.state, _status(one)) for one in found],
        facts={"pipelines": [_facts(one) for one in found], "edited": [asdict(each) for each in edited]},
        empty="No pipeline yet. Start one: petpark pipeline start --dataset SHA",
    )
    _print_edits(run, edited, target.outputs.stack)


@app.command("history", epilog=example("petpark pipeline history 3fa9"))
def history(ctx: typer.Context, name: Name = "") -> None:
    """List the states of a pipeline with errors, and the duration and cost of each stage."""
    run = invocation(ctx)
    target = run.target()
    full = runs.resolve(target, name)
    steps, times = runs.history(target, full), runs.stages(target, full)
    entered = [
        (f"{step.at:%Y-%m-%d %H:%M:%S}", step.state, bad(step.problem) if step.problem else "") for step in steps
    ]
    run.output.sections(
        {
            "States": Columns(("at", "state", ""), entered),
            "Stages": _stages(times),
        },
        facts={
            "steps": [{**asdict(step), "at": step.at.isoformat()} for step in steps],
            "stages": [_stage(each) for each in times],
        },
    )


@app.command("graph", epilog=example("petpark pipeline graph > pipeline.mmd", "petpark pipeline graph 3fa9"))
def graph(ctx: typer.Context, name: _Optional = "") -> None:
    """Print the pipeline as a Mermaid flowchart; with a name, the states that this run entered are marked."""
    from infra.pipeline.graph import definitions, drawn

    run = invocation(ctx)
    text = drawn(definitions()["pipeline"])
    passed: list[str] = []
    if name:
        target = run.target()
        passed = runs.visited(runs.history(target, runs.resolve(target, name)))
        text += f"\n  classDef passed fill:#cfe8cf\n  class {','.join(passed)} passed" if passed else ""
    if run.output.json:
        run.output.document({"mermaid": text, "passed": passed})
    else:
        run.output.out.print(text, markup=False, soft_wrap=True)


def _print_edits(run: Invocation, edited: Sequence[Edited], stack: str) -> None:
    for each in edited:
        run.output.stage(
            f"State machine {each.machine} differs from its deployment: {each.what}. To restore it: "
            f"pulumi up --refresh --stack {stack}"
        )


def _begin(run: Invocation, target: Target, started: Started, *, watch: bool) -> None:
    if watch:
        _watch(run, target, started)
        return
    fields: dict[str, Cell] = {
        "pipeline": started.name,
        "started": "now" if started.began else "earlier: equal inputs run once (--force WORD runs them again)",
    }
    run.output.record(fields, facts={"pipeline": started.name, "began": started.began})
    run.output.note(f"Follow it: petpark pipeline status {started.name}")


def _watch(run: Invocation, target: Target, started: Started) -> None:
    """Show what a pipeline does until it has ended; ends with 1 where it did not succeed."""
    name = started.name
    run.output.stage(f"Pipeline {name}{'' if started.began else ', which was started earlier'}")
    detached = unwatched(f"Pipeline {name} continues.", f"petpark pipeline status {name}")
    with detached:
        for event in runs.follow(target, name):
            match event:
                case Step():
                    run.output.stage(event.problem or event.state)
                    if event.state == runs.WAITING:
                        run.output.stage("It waits for a person: petpark certify N --decision … --note …")
                case PipelineRun():
                    _show(run, target, event)
                    if event.status != "SUCCEEDED":
                        raise typer.Exit(NOT_SO)


def _show(run: Invocation, target: Target, found: PipelineRun) -> None:
    fields: dict[str, Cell] = {
        "status": _status(found),
        "state": found.state,
        "dataset": short(found.dataset),
        "began": moment(found.began.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
        "version": "" if found.version is None else str(found.version),
        "USD": "" if found.usd is None else f"{found.usd:.2f}",
        "error": found.error,
        "because": found.cause or ("Step Functions has no cause" if found.error else ""),
        "next": _next(found),
    }
    times = runs.stages(target, found.name)
    run.output.sections(
        {
            f"Pipeline {found.name}": {name: value for name, value in fields.items() if value},
            "Stages": _stages(times),
        },
        facts={**_facts(found), "stages": [_stage(each) for each in times]},
    )


def _next(found: PipelineRun) -> str:
    if found.waits:
        return "a person decides: petpark certify N --decision certified|refused --note …"
    if (refused := denial(found.cause)) is not None:
        return f"{refused}; then petpark pipeline retry {found.name}"
    if found.error in _SAME_AGAIN:
        return _SAME_AGAIN[found.error]
    return f"petpark pipeline retry {found.name}" if found.error else ""


def _status(found: PipelineRun) -> Cell:
    if found.status == "SUCCEEDED":
        return good("succeeded")
    sentence = "waits for certification" if found.waits else found.status.lower()
    return sentence if found.status == "RUNNING" else bad(f"{sentence}: {found.error}".rstrip(": "))


def _moment(found: PipelineRun) -> str:
    return f"{found.began:%Y-%m-%d %H:%M}"


def _stages(times: Sequence[StageTime]) -> Columns:
    return Columns(("stage", "seconds", "work", "overhead", "USD"), list(stage_times.rows(times)))


def _stage(time: StageTime) -> dict[str, object]:
    return {**asdict(time), "began": time.began.isoformat(), "overhead": time.overhead}


def _facts(found: PipelineRun) -> dict[str, object]:
    ended = found.ended.isoformat() if found.ended else None
    return {**asdict(found), "began": found.began.isoformat(), "ended": ended, "waits": found.waits}
