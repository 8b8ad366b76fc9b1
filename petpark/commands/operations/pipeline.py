"""`petpark pipeline`."""

from dataclasses import asdict
from typing import Annotated

import typer

from petpark.app import Invocation, example, group, invocation
from petpark.errors import NOT_SO, unwatched
from petpark.output import Cell, bad, good, moment, short
from petpark.pipeline import runs
from petpark.pipeline.runs import PipelineRun, Started, Step
from petpark.targets.target import Target

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
    run = invocation(ctx)
    target = run.target()
    _begin(run, target, runs.start(target, dataset, force=force), watch=watch)


@app.command("retry", epilog=example("petpark pipeline retry 3fa9"))
def retry(ctx: typer.Context, name: Name = "", watch: _Watch = False) -> None:
    """Run again a pipeline that has ended. Jobs that have a result are not repeated."""
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
    if name:
        _show(run, runs.show(target, runs.resolve(target, name)))
        return
    found = runs.listed(target, limit=limit)
    run.output.table(
        ("pipeline", "dataset", "began", "state", "status"),
        [(one.name, short(one.dataset), _moment(one), one.state, _status(one)) for one in found],
        facts={"pipelines": [_facts(one) for one in found]},
        empty="No pipeline yet. Start one: petpark pipeline start --dataset SHA",
    )


@app.command("history", epilog=example("petpark pipeline history 3fa9"))
def history(ctx: typer.Context, name: Name = "") -> None:
    """List the states that a pipeline went through, with errors."""
    run = invocation(ctx)
    target = run.target()
    steps = runs.history(target, runs.resolve(target, name))
    run.output.table(
        ("at", "state", ""),
        [(f"{step.at:%Y-%m-%d %H:%M:%S}", step.state, bad(step.problem) if step.problem else "") for step in steps],
        facts={"steps": [{**asdict(step), "at": step.at.isoformat()} for step in steps]},
        empty="Nothing happened yet.",
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
                    _show(run, event)
                    if event.status != "SUCCEEDED":
                        raise typer.Exit(NOT_SO)


def _show(run: Invocation, found: PipelineRun) -> None:
    fields: dict[str, Cell] = {
        "pipeline": found.name,
        "status": _status(found),
        "state": found.state,
        "dataset": short(found.dataset),
        "began": moment(found.began.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
        "version": "" if found.version is None else str(found.version),
        "USD": "" if found.usd is None else f"{found.usd:.2f}",
        "error": found.error,
        "because": found.cause,
        "next": _next(found),
    }
    run.output.record({name: value for name, value in fields.items() if value}, facts=_facts(found))


def _next(found: PipelineRun) -> str:
    if found.waits:
        return "a person decides: petpark certify N --decision certified|refused --note …"
    return f"petpark pipeline retry {found.name}" if found.error else ""


def _status(found: PipelineRun) -> Cell:
    if found.status == "SUCCEEDED":
        return good("succeeded")
    said = "waits for certification" if found.waits else found.status.lower()
    return said if found.status == "RUNNING" else bad(f"{said}: {found.error}".rstrip(": "))


def _moment(found: PipelineRun) -> str:
    return f"{found.began:%Y-%m-%d %H:%M}"


def _facts(found: PipelineRun) -> dict[str, object]:
    ended = found.ended.isoformat() if found.ended else None
    return {**asdict(found), "began": found.began.isoformat(), "ended": ended, "waits": found.waits}
